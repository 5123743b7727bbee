/**
 * What is exported, where to and how, read from OpenTelemetry's variables as a whole.
 */
import { type ConfigProvider, Duration, Effect, FileSystem, Option, Redacted, Result } from "effect"
import { ConfigInvalid } from "../ConfigInvalid.ts"
import { lookUp, readNamedFile, type Variable } from "../ConfigVariable.ts"
import { parseKeyValues } from "./keyValues.ts"
import {
  definitions,
  parsePropagators,
  type Propagator,
  refused,
  type Signal,
} from "./variables.ts"

/** What a connection to a collector needs besides its address, as PEM. */
export interface Tls {
  readonly caCertificates: ReadonlyArray<string>
  readonly client: Option.Option<{
    readonly certificate: string
    readonly key: Redacted.Redacted<string>
  }>
}

/** How one signal is exported. */
export interface ExportSettings {
  /** Where to, as it is. */
  readonly url: string
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
  /** The time for one export, with its tries. */
  readonly timeout: Duration.Duration
  readonly protocol: "http/protobuf" | "http/json"
  readonly compression: "gzip" | "none"
  readonly tls: Option.Option<Tls>
  /** The time between exports. */
  readonly interval: Duration.Duration
  /** Items in one export, at most. */
  readonly maxBatchSize: number
  /** Exports at once. */
  readonly maxInFlight: number
}

/** Which traces are exported: a base decision, and whether that of the caller comes before it. */
export interface Sampler {
  readonly parentBased: boolean
  /** The share of traces, 0 to 1. */
  readonly ratio: number
}

/** How much a span, or a log record, may tell. */
export interface Limits {
  /** Characters of a value. */
  readonly attributeLength: number
  readonly attributeCount: number
  readonly eventCount: number
  readonly eventAttributeCount: number
  readonly linkCount: number
  readonly linkAttributeCount: number
}

export interface TelemetrySettings {
  readonly serviceName: string
  /** Without `service.name`. */
  readonly resourceAttributes: Readonly<Record<string, string>>
  /** None where it is not exported. */
  readonly traces: Option.Option<ExportSettings>
  readonly metrics: Option.Option<ExportSettings>
  readonly logs: Option.Option<ExportSettings>
  readonly sampler: Sampler
  readonly propagators: ReadonlyArray<Propagator>
  readonly temporality: "cumulative" | "delta"
  readonly spanLimits: Limits
  readonly logLimits: Pick<Limits, "attributeLength" | "attributeCount">
  /** The files that were read. */
  readonly files: ReadonlyArray<string>
  /** What is set and has no effect, in sentences. */
  readonly warnings: ReadonlyArray<string>
}

type Values<Group> = {
  readonly [Name in keyof Group]: Group[Name] extends Variable<infer A> ? A : never
}

/** The values of {@link definitions}, as they were written. */
export type Written = {
  readonly [Group in keyof typeof definitions]: Values<(typeof definitions)[Group]>
}

type General = Written["general"]

const invalid = (problem: string) => new ConfigInvalid({ problems: [problem] })

/** Fails for each variable that is set and cannot be honoured. */
export const refuseOthers = (provider: ConfigProvider.ConfigProvider) =>
  Effect.forEach(
    Object.entries(refused),
    ([name, why]) =>
      Effect.flatMap(lookUp(name, provider), (text) =>
        Option.isSome(text)
          ? Effect.fail(invalid(`${name} is set, but latchkey ${why}; unset it.`))
          : Effect.void).pipe(Effect.result),
  )

const readPem = Effect.fnUntraced(function* (name: string, path: string, label: string) {
  const text = yield* readNamedFile(name, path)
  if (new RegExp(`^-----BEGIN ${label}-----`, "m").test(text)) return text
  return yield* invalid(`${name} names ${path}, which is not in PEM form.`)
})

/** Whether Deno takes a certificate; it says what is wrong with it, but in words that quote it. */
const isUsable = (options: Parameters<typeof Deno.createHttpClient>[0]) =>
  Result.isSuccess(Result.try(() => Deno.createHttpClient(options).close()))

type Exporter = Written["all"]

const named = (signal: Signal | undefined, what: string) =>
  `OTEL_EXPORTER_OTLP_${signal === undefined ? "" : `${signal.toUpperCase()}_`}${what}`

const readTls = Effect.fnUntraced(function* (own: Exporter, all: Exporter, signal: Signal) {
  /** With the name of the variable that it comes from. */
  const find = (what: "certificate" | "clientCertificate" | "clientKey", name: string) =>
    Option.firstSomeOf([
      Option.map(own[what], (path) => ({ path, name: named(signal, name) })),
      Option.map(all[what], (path) => ({ path, name: named(undefined, name) })),
    ])
  const ca = find("certificate", "CERTIFICATE")
  const certificate = find("clientCertificate", "CLIENT_CERTIFICATE")
  const key = find("clientKey", "CLIENT_KEY")
  if (Option.isSome(certificate) !== Option.isSome(key)) {
    const [set, missing] = Option.isSome(key)
      ? ["CLIENT_KEY", "CLIENT_CERTIFICATE"]
      : ["CLIENT_CERTIFICATE", "CLIENT_KEY"]
    return yield* invalid(
      `${named(undefined, set)} has no effect without ${named(undefined, missing)}; set both.`,
    )
  }
  const pem = (found: { readonly path: string; readonly name: string }, label: string) =>
    readPem(found.name, found.path, label)
  const client = Option.isSome(certificate) && Option.isSome(key)
    ? Option.some({
      certificate: yield* pem(certificate.value, "CERTIFICATE"),
      key: Redacted.make(yield* pem(key.value, "(?:\\w+ )?PRIVATE KEY")),
    })
    : Option.none()
  const caCertificates = Option.isSome(ca) ? [yield* pem(ca.value, "CERTIFICATE")] : []
  if (Option.isSome(ca) && !isUsable({ caCerts: caCertificates })) {
    const { name, path } = ca.value
    return yield* invalid(`${name} names ${path}, which holds no certificate that can be used.`)
  }
  if (Option.isSome(client) && Option.isSome(certificate)) {
    const { name, path } = certificate.value
    const options = { cert: client.value.certificate, key: Redacted.value(client.value.key) }
    if (!isUsable(options)) {
      return yield* invalid(`${name} names ${path}, which cannot be used with its key.`)
    }
  }
  return {
    tls: Option.isSome(ca) || Option.isSome(client)
      ? Option.some({ caCertificates, client })
      : Option.none(),
    files: [ca, certificate, key].flatMap((found) => Option.toArray(found)).map(({ path }) => path),
  }
})

/** The endpoint of all signals, with the path of one (OTLP/HTTP, "Endpoint URLs"). */
const withPath = (base: URL, signal: Signal) => {
  const url = new URL(base)
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/${signal}`
  return url
}

/** What differs by signal in the variables of batches. */
const pacing = (general: General, signal: Signal) => {
  if (signal === "metrics") {
    const { metricInterval: interval, metricTimeout: timeout } = general
    return { interval, timeout, batch: 1, queue: 2 }
  }
  return signal === "traces"
    ? {
      interval: general.spanDelay,
      timeout: general.spanTimeout,
      batch: general.spanBatch,
      queue: general.spanQueue,
    }
    : {
      interval: general.logDelay,
      timeout: general.logTimeout,
      batch: general.logBatch,
      queue: general.logQueue,
    }
}

/** Spans and log records of this many more may wait while as many are under way. */
const readSignal = Effect.fnUntraced(function* (
  { general, all, ...written }: Written,
  signal: Signal,
  base: Option.Option<URL>,
) {
  const own = written[signal]
  const endpoint = Option.orElse(
    own.endpoint,
    () => Option.map(base, (url) => withPath(url, signal)),
  )
  const { interval, timeout, batch, queue } = pacing(general, signal)
  if (batch > queue) {
    const prefix = signal === "traces" ? "OTEL_BSP" : "OTEL_BLRP"
    return yield* invalid(
      `${prefix}_MAX_EXPORT_BATCH_SIZE must not be larger than ${prefix}_MAX_QUEUE_SIZE.`,
    )
  }
  if (own.exporter === "none" || general.sdkDisabled === "true" || Option.isNone(endpoint)) {
    return { settings: Option.none<ExportSettings>(), files: [] }
  }
  const { tls, files } = yield* readTls(own, all, signal)
  const either = <A>(own: Option.Option<A>, all: Option.Option<A>, fallback: A) =>
    Option.getOrElse(own, () => Option.getOrElse(all, () => fallback))
  const headers = either(own.headers, all.headers, Redacted.make(""))
  const settings: ExportSettings = {
    url: endpoint.value.href,
    headers: Redacted.make(Option.getOrElse(parseKeyValues(Redacted.value(headers)), () => ({}))),
    timeout: Duration.millis(Math.min(timeout, either(own.timeout, all.timeout, 10_000))),
    // Not protobuf, as OpenTelemetry recommends: to encode 512 spans takes Effect 100 ms, and 3 ms in
    // JSON, in which nothing else is done.
    protocol: either(own.protocol, all.protocol, "http/json"),
    compression: either(own.compression, all.compression, "none"),
    tls,
    interval: Duration.millis(interval),
    maxBatchSize: batch,
    // One more is being filled.
    maxInFlight: Math.max(1, Math.floor(queue / batch) - 1),
  }
  return { settings: Option.some(settings), files }
})

const samplerOf = ({ sampler, samplerArg }: General): Sampler => ({
  parentBased: sampler.startsWith("parentbased_"),
  ratio: sampler.endsWith("always_off")
    ? 0
    : sampler.endsWith("always_on")
    ? 1
    : Option.match(samplerArg, { onNone: () => 1, onSome: Number }),
})

const limitsOf = (general: General) => {
  const { attributeLength, attributeCount } = general
  const length = (own: Option.Option<number>) =>
    Option.getOrElse(Option.orElse(own, () => attributeLength), () => Infinity)
  const count = (own: Option.Option<number>) => Option.getOrElse(own, () => attributeCount)
  return {
    spanLimits: {
      attributeLength: length(general.spanAttributeLength),
      attributeCount: count(general.spanAttributeCount),
      eventCount: general.spanEventCount,
      eventAttributeCount: count(general.eventAttributeCount),
      linkCount: general.spanLinkCount,
      linkAttributeCount: count(general.linkAttributeCount),
    },
    logLimits: {
      attributeLength: length(general.logAttributeLength),
      attributeCount: count(general.logAttributeCount),
    },
  }
}

const warningsOf = (general: General) =>
  Option.isSome(general.samplerArg) && !general.sampler.endsWith("traceidratio")
    ? ["OTEL_TRACES_SAMPLER_ARG has no effect with this OTEL_TRACES_SAMPLER."]
    : []

/** Makes settings of what was written; `base` is `OTEL_EXPORTER_OTLP_ENDPOINT`. */
export const resolve = Effect.fnUntraced(function* (
  written: Written,
  base: Option.Option<URL>,
): Effect.fn.Return<TelemetrySettings, ConfigInvalid, FileSystem.FileSystem> {
  const { general } = written
  const attributes = Option.getOrElse(
    Option.flatMap(general.resourceAttributes, parseKeyValues),
    (): Readonly<Record<string, string>> => ({}),
  )
  const { "service.name": nameInAttributes, ...resourceAttributes } = attributes
  const traces = yield* readSignal(written, "traces", base)
  const metrics = yield* readSignal(written, "metrics", base)
  const logs = yield* readSignal(written, "logs", base)
  const sampler = samplerOf(general)
  const samplesNone = sampler.ratio === 0 && !sampler.parentBased
  return {
    serviceName: Option.getOrElse(general.serviceName, () => nameInAttributes ?? "latchkey"),
    resourceAttributes,
    // Nobody would see a span.
    traces: samplesNone ? Option.none() : traces.settings,
    metrics: metrics.settings,
    logs: logs.settings,
    sampler,
    propagators: Option.getOrElse(parsePropagators(general.propagators), () => []),
    temporality: general.temporality,
    ...limitsOf(general),
    files: [...traces.files, ...metrics.files, ...logs.files],
    warnings: warningsOf(general),
  }
})
