/**
 * OpenTelemetry's own environment variables, as far as they can be honoured, with the names, the units
 * and the defaults of its specification
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/,
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/), and by name those that cannot.
 *
 * `OTEL_EXPORTER_OTLP_ENDPOINT` itself is in `Config.ts`.
 */
import { Option, Schema, SchemaTransformation } from "effect"
import * as Schemas from "../ConfigSchemas.ts"
import { optional, type Variable, variable } from "../ConfigVariable.ts"
import { areHeaders, parseKeyValues } from "./keyValues.ts"

/** What is exported; each kind has variables of its own. */
export const signals = ["traces", "metrics", "logs"] as const

/** One of {@link signals}. */
export type Signal = (typeof signals)[number]

/** One of a few words, in any case. */
const oneOf = <const Words extends ReadonlyArray<string>>(words: Words) =>
  Schema.String.pipe(
    Schema.decode(SchemaTransformation.toLowerCase()),
    Schema.decodeTo(Schema.Literals(words)),
  )

/** Explains why words that OpenTelemetry knows are refused; of other texts nothing is said. */
const refusing = (words: ReadonlyArray<string>, why: string) => (text: string) => {
  const found = words.find((word) =>
    text.toLowerCase().split(",").some((own) => own.trim() === word)
  )
  return found === undefined ? undefined : `${found} is not among them, ${why}`
}

/** A URL with a user or a password, which `fetch` refuses. */
export const credentialsProblem = (text: string): string | undefined => {
  const url = URL.parse(text)
  return url === null || url.username + url.password === ""
    ? undefined
    : "it has a user or a password, which belong into OTEL_EXPORTER_OTLP_HEADERS"
}

const milliseconds = Schemas.integer(1, 86_400_000)
const aTime = "a number of milliseconds in digits, 1 to 86400000"

const limit = Schemas.integer(0, 1_000_000)
const aLimit = "a number in digits, 0 to 1000000"

const isKeyValues = Schema.makeFilter((text: string) => Option.isSome(parseKeyValues(text)))
const isHeaders = Schema.makeFilter((text: string) =>
  Option.exists(parseKeyValues(text), areHeaders)
)

const isRatio = Schema.makeFilter((text: string) =>
  /^(?:0|1|0?\.\d{1,15}|0\.|1\.0{0,15})$/.test(text)
)

/** How the context of a trace comes with a request. */
export const propagators = ["tracecontext", "baggage", "b3", "b3multi", "none"] as const

/** One of {@link propagators}. */
export type Propagator = (typeof propagators)[number]

const isPropagator = Schema.is(Schema.Literals(propagators))

/** The words of `OTEL_PROPAGATORS`; none where one of them is unknown, or `none` is not alone. */
export const parsePropagators = (text: string): Option.Option<ReadonlyArray<Propagator>> => {
  const words = text.toLowerCase().split(",").map((word) => word.trim())
  if (!words.every(isPropagator)) return Option.none()
  return words.includes("none") && words.length > 1 ? Option.none() : Option.some(words)
}

const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const

const resource = {
  sdkDisabled: variable(oneOf(["true", "false"]), {
    name: "OTEL_SDK_DISABLED",
    default: "false",
    wants: "true or false",
    meaning: "Whether nothing is exported, whatever else is set",
  }),
  serviceName: optional(Schema.String, {
    name: "OTEL_SERVICE_NAME",
    default: "`service.name` of the next one, else `latchkey`",
    wants: "a name",
    meaning: "What the service is called",
  }),
  resourceAttributes: optional(Schema.String.check(isKeyValues), {
    name: "OTEL_RESOURCE_ATTRIBUTES",
    default: "none",
    wants: "a list such as deployment.environment.name=production,service.namespace=auth, its " +
      "values percent-encoded",
    meaning: "What else is said of the service with everything that is exported",
  }),
}

const sampling = {
  propagators: variable(
    Schema.String.check(
      Schema.makeFilter((text: string) => Option.isSome(parsePropagators(text))),
    ),
    {
      name: "OTEL_PROPAGATORS",
      default: "tracecontext,baggage",
      wants: `a list of ${propagators.slice(0, -1).join(", ")}, or none`,
      meaning: "Headers from which the trace of a request is taken; baggage is not looked at",
      explain: refusing(["jaeger", "xray", "ottrace"], "since latchkey cannot read its headers"),
    },
  ),
  sampler: variable(oneOf(samplers), {
    name: "OTEL_TRACES_SAMPLER",
    default: "parentbased_always_on",
    wants: `one of ${samplers.join(", ")}`,
    meaning: "Which traces are exported",
    explain: refusing(
      ["jaeger_remote", "parentbased_jaeger_remote", "xray"],
      "since latchkey asks nobody what to sample",
    ),
  }),
  samplerArg: optional(Schema.String.check(isRatio), {
    name: "OTEL_TRACES_SAMPLER_ARG",
    default: "`1`",
    wants: "a share of all traces, 0 to 1, such as 0.25",
    meaning: "The share for the samplers that have `traceidratio` in their names",
  }),
}

const batching = {
  spanDelay: variable(milliseconds, {
    name: "OTEL_BSP_SCHEDULE_DELAY",
    default: "5000",
    wants: aTime,
    meaning: "Milliseconds between exports of spans, unless a batch is full before",
  }),
  spanTimeout: variable(milliseconds, {
    name: "OTEL_BSP_EXPORT_TIMEOUT",
    default: "30000",
    wants: aTime,
    meaning: "Milliseconds for an export of spans; the shorter of this and the exporter's counts",
  }),
  spanQueue: variable(Schemas.integer(1, 1_000_000), {
    name: "OTEL_BSP_MAX_QUEUE_SIZE",
    default: "2048",
    wants: "a number in digits, 1 to 1000000",
    meaning: "Spans that wait or are being exported; more are dropped, whole batches at a time",
  }),
  spanBatch: variable(Schemas.integer(1, 100_000), {
    name: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    default: "512",
    wants: "a number in digits, 1 to 100000",
    meaning: "Spans in one export",
  }),
  logDelay: variable(milliseconds, {
    name: "OTEL_BLRP_SCHEDULE_DELAY",
    default: "1000",
    wants: aTime,
    meaning: "Milliseconds between exports of log records, unless a batch is full before",
  }),
  logTimeout: variable(milliseconds, {
    name: "OTEL_BLRP_EXPORT_TIMEOUT",
    default: "30000",
    wants: aTime,
    meaning: "Milliseconds for an export of log records, as for spans",
  }),
  logQueue: variable(Schemas.integer(1, 1_000_000), {
    name: "OTEL_BLRP_MAX_QUEUE_SIZE",
    default: "2048",
    wants: "a number in digits, 1 to 1000000",
    meaning: "Log records that wait or are being exported, as for spans",
  }),
  logBatch: variable(Schemas.integer(1, 100_000), {
    name: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    default: "512",
    wants: "a number in digits, 1 to 100000",
    meaning: "Log records in one export",
  }),
  metricInterval: variable(milliseconds, {
    name: "OTEL_METRIC_EXPORT_INTERVAL",
    default: "60000",
    wants: aTime,
    meaning: "Milliseconds between exports of metrics",
  }),
  metricTimeout: variable(milliseconds, {
    name: "OTEL_METRIC_EXPORT_TIMEOUT",
    default: "30000",
    wants: aTime,
    meaning: "Milliseconds for an export of metrics, as for spans",
  }),
  temporality: variable(oneOf(["cumulative", "delta"]), {
    name: "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    default: "cumulative",
    wants: "cumulative or delta",
    meaning: "Whether counters are exported as totals or as what was added since the last export",
    explain: refusing(["lowmemory"], "since latchkey counts in one way for all metrics"),
  }),
  histogramAggregation: variable(oneOf(["explicit_bucket_histogram"]), {
    name: "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    default: "explicit_bucket_histogram",
    wants: "explicit_bucket_histogram",
    meaning: "How histograms are exported; there is one way",
    explain: refusing(
      ["base2_exponential_bucket_histogram"],
      "since latchkey's histograms have fixed buckets",
    ),
  }),
}

const limits = {
  attributeLength: optional(limit, {
    name: "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    default: "no limit",
    wants: aLimit,
    meaning: "Characters of a value of an attribute; what is longer is cut",
  }),
  attributeCount: variable(limit, {
    name: "OTEL_ATTRIBUTE_COUNT_LIMIT",
    default: "128",
    wants: aLimit,
    meaning: "Attributes of a span, an event, a link or a log record; others are left out",
  }),
  spanAttributeLength: optional(limit, {
    name: "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    default: "`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`",
    wants: aLimit,
    meaning: "The same, of spans",
  }),
  spanAttributeCount: optional(limit, {
    name: "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    default: "`OTEL_ATTRIBUTE_COUNT_LIMIT`",
    wants: aLimit,
    meaning: "The same, of spans",
  }),
  eventAttributeCount: optional(limit, {
    name: "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    default: "`OTEL_ATTRIBUTE_COUNT_LIMIT`",
    wants: aLimit,
    meaning: "The same, of events of spans",
  }),
  linkAttributeCount: optional(limit, {
    name: "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    default: "`OTEL_ATTRIBUTE_COUNT_LIMIT`",
    wants: aLimit,
    meaning: "The same, of links of spans",
  }),
  spanEventCount: variable(limit, {
    name: "OTEL_SPAN_EVENT_COUNT_LIMIT",
    default: "128",
    wants: aLimit,
    meaning: "Events of a span",
  }),
  spanLinkCount: variable(limit, {
    name: "OTEL_SPAN_LINK_COUNT_LIMIT",
    default: "128",
    wants: aLimit,
    meaning: "Links of a span",
  }),
  logAttributeLength: optional(limit, {
    name: "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    default: "`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`",
    wants: aLimit,
    meaning: "The same, of log records",
  }),
  logAttributeCount: optional(limit, {
    name: "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    default: "`OTEL_ATTRIBUTE_COUNT_LIMIT`",
    wants: aLimit,
    meaning: "The same, of log records",
  }),
}

const aPem = (what: string) => `the path of a file with ${what} in PEM form`

/** How exports are sent: those of one signal, or those of all that say nothing else. */
const exporter = (signal?: Signal) => {
  const named = (what: string, infix = "") => `OTEL_EXPORTER_OTLP_${infix}${what}`
  const of = (what: string, byDefault: string, meaning: string) =>
    signal === undefined ? { name: named(what), default: byDefault, meaning } : {
      name: named(what, `${signal.toUpperCase()}_`),
      default: `\`${named(what)}\``,
      meaning: `The same, of ${signal}`,
    }
  return {
    headers: optional(Schema.RedactedFromValue(Schema.String.check(isHeaders)), {
      ...of("HEADERS", "none", "Headers of each export, such as the collector's key"),
      wants: "a list of headers such as api-key=secret,tenant=a, its values percent-encoded",
      file: signal === undefined,
    }),
    timeout: optional(milliseconds, {
      ...of("TIMEOUT", "`10000`", "Milliseconds for an export, with its tries"),
      wants: aTime,
    }),
    protocol: optional(oneOf(["http/protobuf", "http/json"]), {
      ...of("PROTOCOL", "`http/json`", "How exports are encoded"),
      wants: "http/protobuf or http/json",
      explain: refusing(
        ["grpc"],
        "since latchkey exports over HTTP, mostly port 4318 of a collector",
      ),
    }),
    compression: optional(oneOf(["gzip", "none"]), {
      ...of("COMPRESSION", "`none`", "How exports of more than 1 KiB are compressed"),
      wants: "gzip or none",
    }),
    certificate: optional(Schema.String, {
      ...of("CERTIFICATE", "none", "Authorities to trust besides the public ones, a file"),
      wants: aPem("certificates"),
    }),
    clientCertificate: optional(Schema.String, {
      ...of("CLIENT_CERTIFICATE", "none", "The certificate of exports for the collector, a file"),
      wants: aPem("a certificate"),
    }),
    clientKey: optional(Schema.String, {
      ...of("CLIENT_KEY", "none", "The private key of that certificate, a file"),
      wants: aPem("a private key"),
    }),
  }
}

const exported = (signal: Signal) => ({
  exporter: variable(oneOf(["otlp", "none"]), {
    name: `OTEL_${signal.toUpperCase()}_EXPORTER`,
    default: "otlp",
    wants: "otlp or none",
    meaning: `Whether ${signal} are exported, where there is an endpoint`,
    explain: refusing(
      ["console", "logging", "prometheus", "zipkin", "jaeger", "otlp/stdout"],
      "since latchkey exports to collectors only",
    ),
  }),
  endpoint: optional(Schemas.httpUrl, {
    name: `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`,
    default: `\`/v1/${signal}\` of \`OTEL_EXPORTER_OTLP_ENDPOINT\``,
    wants: `an http or https URL, such as http://localhost:4318/v1/${signal}`,
    meaning: `Where ${signal} are sent to, used as it is`,
    explain: credentialsProblem,
  }),
  ...exporter(signal),
})

/** All of them, in groups. */
export const definitions = {
  general: { ...resource, ...sampling, ...batching, ...limits },
  all: exporter(),
  traces: exported("traces"),
  metrics: exported("metrics"),
  logs: exported("logs"),
}

/** All of them, for the documentation, and for whoever must know which ones the service reads. */
export const variables: ReadonlyArray<Variable<unknown>> = Object.values(definitions)
  .flatMap((group): ReadonlyArray<Variable<unknown>> => Object.values(group))

const insecure = "takes that from the scheme of the endpoint"
const otlpOnly = "exports OTLP only"
const noFile = "reads no configuration file"

/**
 * Variables of the specification that cannot be honoured, each with why: completes "NAME is set, but
 * latchkey …; unset it."
 */
export const refused: Readonly<Record<string, string>> = {
  OTEL_CONFIG_FILE: noFile,
  OTEL_EXPERIMENTAL_CONFIG_FILE: noFile,
  OTEL_ENTITIES: "tells of itself by OTEL_RESOURCE_ATTRIBUTES only",
  OTEL_LOG_LEVEL: "has LOG_LEVEL for all that it logs",
  OTEL_METRICS_EXEMPLAR_FILTER: "makes no exemplars",
  OTEL_EXPORTER_OTLP_INSECURE: insecure,
  OTEL_EXPORTER_OTLP_TRACES_INSECURE: insecure,
  OTEL_EXPORTER_OTLP_METRICS_INSECURE: insecure,
  OTEL_EXPORTER_OTLP_LOGS_INSECURE: insecure,
  OTEL_EXPORTER_ZIPKIN_ENDPOINT: otlpOnly,
  OTEL_EXPORTER_ZIPKIN_TIMEOUT: otlpOnly,
  OTEL_EXPORTER_JAEGER_ENDPOINT: otlpOnly,
  OTEL_EXPORTER_JAEGER_AGENT_HOST: otlpOnly,
  OTEL_EXPORTER_JAEGER_AGENT_PORT: otlpOnly,
  OTEL_EXPORTER_PROMETHEUS_HOST: "answers Prometheus at /metrics of its own address",
  OTEL_EXPORTER_PROMETHEUS_PORT: "answers Prometheus at /metrics of its own port",
}
