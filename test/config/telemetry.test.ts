import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, FileSystem, Option, Redacted } from "effect"
import * as Settings from "../../src/config/Settings.ts"
import { describeUnknown } from "../../src/config/telemetry/unknownVariables.ts"
import { refused } from "../../src/config/telemetry/variables.ts"

const load = (environment: Record<string, string>) =>
  Settings.load(ConfigProvider.fromEnvRecord(environment, { preserveEmptyStrings: true }))

const telemetryOf = (environment: Record<string, string>) =>
  Effect.map(load(environment), ({ telemetry }) => telemetry)

const problemsOf = (environment: Record<string, string>) =>
  Effect.map(Effect.flip(load(environment)), ({ problems }) => problems)

const endpoint = "http://collector:4318"

const urlsOf = (environment: Record<string, string>) =>
  Effect.map(
    telemetryOf(environment),
    ({ traces, metrics, logs }) =>
      [traces, metrics, logs].map(Option.match({ onNone: () => null, onSome: ({ url }) => url })),
  )

layer(NodeServices.layer)("OpenTelemetry's variables", (it) => {
  it.effect("export nothing by default, and are those of the specification", () =>
    Effect.gen(function* () {
      const spanLimits = {
        attributeLength: Infinity,
        attributeCount: 128,
        eventCount: 128,
        eventAttributeCount: 128,
        linkCount: 128,
        linkAttributeCount: 128,
      }
      assert.deepStrictEqual(yield* telemetryOf({}), {
        serviceName: "latchkey",
        resourceAttributes: {},
        traces: Option.none(),
        metrics: Option.none(),
        logs: Option.none(),
        sampler: { parentBased: true, ratio: 1 },
        propagators: ["tracecontext", "baggage"],
        temporality: "cumulative",
        spanLimits,
        logLimits: { attributeLength: Infinity, attributeCount: 128 },
        files: [],
        warnings: [],
      })
      const { traces, metrics } = yield* telemetryOf({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })
      const { headers, ...others } = Option.getOrThrow(traces)
      assert.deepStrictEqual(Redacted.value(headers), {})
      assert.deepStrictEqual(others, {
        url: `${endpoint}/v1/traces`,
        timeout: Duration.seconds(10),
        protocol: "http/json",
        compression: "none",
        tls: Option.none(),
        interval: Duration.seconds(5),
        maxBatchSize: 512,
        maxInFlight: 3,
      })
      assert.deepStrictEqual(Option.getOrThrow(metrics).interval, Duration.minutes(1))
    }))

  it.effect.each(
    [
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c/a/" }, [
        "http://c/a/v1/traces",
        "http://c/a/v1/metrics",
        "http://c/a/v1/logs",
      ]],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c?k=v" }, [
        "http://c/v1/traces?k=v",
        "http://c/v1/metrics?k=v",
        "http://c/v1/logs?k=v",
      ]],
      [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t/here" }, ["http://t/here", null, null]],
      [
        {
          OTEL_EXPORTER_OTLP_ENDPOINT: "http://c",
          OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://m",
        },
        ["http://c/v1/traces", "http://m/", "http://c/v1/logs"],
      ],
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_METRICS_EXPORTER: "none" },
        ["http://c/v1/traces", null, "http://c/v1/logs"],
      ],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_SDK_DISABLED: "TRUE" }, [null, null, null]],
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_TRACES_SAMPLER: "always_off" },
        [null, "http://c/v1/metrics", "http://c/v1/logs"],
      ],
      [{ OTEL_TRACES_EXPORTER: "otlp" }, [null, null, null]],
    ] as const,
  )("name where each kind is sent to: %j", ([environment, urls]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* urlsOf(environment), [...urls])
    }))

  it.effect("of one signal come before those of all", () =>
    Effect.gen(function* () {
      const { traces, metrics, logs } = yield* telemetryOf({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_HEADERS: "Authorization=Basic%20YQ==, tenant=a",
        OTEL_EXPORTER_OTLP_LOGS_HEADERS: "tenant=b",
        OTEL_EXPORTER_OTLP_TIMEOUT: "5000",
        OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "20000",
        OTEL_METRIC_EXPORT_TIMEOUT: "15000",
        OTEL_BLRP_EXPORT_TIMEOUT: "2000",
        OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
        OTEL_BSP_MAX_QUEUE_SIZE: "100",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "100",
      })
      const of = (signal: typeof traces) => {
        const { headers, timeout, protocol, compression } = Option.getOrThrow(signal)
        return [Redacted.value(headers), Duration.toMillis(timeout), protocol, compression]
      }
      const headers = { Authorization: "Basic YQ==", tenant: "a" }
      assert.deepStrictEqual(of(traces), [headers, 5_000, "http/protobuf", "gzip"])
      assert.deepStrictEqual(of(metrics), [headers, 15_000, "http/json", "gzip"])
      assert.deepStrictEqual(of(logs), [{ tenant: "b" }, 2_000, "http/json", "gzip"])
      assert.strictEqual(Option.getOrThrow(traces).maxInFlight, 1)
    }))

  it.effect("take headers from a file, and show them to nobody", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(path, "api-key=hunter2\n")
      const settings = yield* load({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_HEADERS_FILE: path,
      })
      const { headers } = Option.getOrThrow(settings.telemetry.metrics)
      assert.deepStrictEqual(Redacted.value(headers), { "api-key": "hunter2" })
      assert.notInclude(Deno.inspect(settings, { depth: 20 }), "hunter2")
    }))

  it.effect.each(
    [
      [{}, "latchkey", {}],
      [{ OTEL_SERVICE_NAME: "auth" }, "auth", {}],
      [
        { OTEL_RESOURCE_ATTRIBUTES: "service.name=other, deployment.environment.name=a%2Cb=c" },
        "other",
        { "deployment.environment.name": "a,b=c" },
      ],
      [
        { OTEL_SERVICE_NAME: "auth", OTEL_RESOURCE_ATTRIBUTES: "service.name=other,a=1" },
        "auth",
        { a: "1" },
      ],
    ] as const,
  )(
    "say what the service is called: %j",
    ([environment, name, attributes]) =>
      Effect.gen(function* () {
        const { serviceName, resourceAttributes } = yield* telemetryOf(environment)
        assert.strictEqual(serviceName, name)
        assert.deepStrictEqual(resourceAttributes, attributes)
      }),
  )

  it.effect.each(
    [
      ["always_on", undefined, false, 1],
      ["PARENTBASED_ALWAYS_OFF", undefined, true, 0],
      ["traceidratio", undefined, false, 1],
      ["traceidratio", "0.25", false, 0.25],
      ["parentbased_traceidratio", "0", true, 0],
      ["parentbased_traceidratio", "1.0", true, 1],
    ] as const,
  )(
    "have the sampler %s with %s",
    ([sampler, share, parentBased, ratio]) =>
      Effect.gen(function* () {
        const telemetry = yield* telemetryOf({
          OTEL_TRACES_SAMPLER: sampler,
          ...share === undefined ? {} : { OTEL_TRACES_SAMPLER_ARG: share },
        })
        assert.deepStrictEqual(telemetry.sampler, { parentBased, ratio })
      }),
  )

  it.effect("warn of a share that no sampler asks for", () =>
    Effect.gen(function* () {
      const { warnings } = yield* telemetryOf({ OTEL_TRACES_SAMPLER_ARG: "0.5" })
      assert.deepStrictEqual(warnings, [
        "OTEL_TRACES_SAMPLER_ARG has no effect with this OTEL_TRACES_SAMPLER.",
      ])
    }))

  it.effect("are limits, the special ones before the general ones", () =>
    Effect.gen(function* () {
      const { spanLimits, logLimits } = yield* telemetryOf({
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "100",
        OTEL_ATTRIBUTE_COUNT_LIMIT: "10",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "20",
        OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: "0",
        OTEL_SPAN_LINK_COUNT_LIMIT: "5",
        OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT: "50",
      })
      assert.deepStrictEqual(spanLimits, {
        attributeLength: 100,
        attributeCount: 20,
        eventCount: 128,
        eventAttributeCount: 10,
        linkCount: 5,
        linkAttributeCount: 0,
      })
      assert.deepStrictEqual(logLimits, { attributeLength: 50, attributeCount: 10 })
    }))

  it.effect.each(Object.keys(refused))(
    "are refused by name where they cannot be had: %s",
    (name) =>
      Effect.gen(function* () {
        const [problem, ...others] = yield* problemsOf({ [name]: "hunter2" })
        assert.deepStrictEqual(others, [])
        assert.match(problem, new RegExp(`^${name} is set, but latchkey [^;]+; unset it\\.$`))
      }),
  )

  it.effect.each(
    [
      ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", /grpc is not among them, since .* over HTTP/],
      ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc", /grpc is not among them/],
      ["OTEL_TRACES_EXPORTER", "zipkin", /zipkin is not among them/],
      ["OTEL_LOGS_EXPORTER", "console", /console is not among them/],
      ["OTEL_METRICS_EXPORTER", "otlp,prometheus", /prometheus is not among them/],
      ["OTEL_TRACES_SAMPLER", "jaeger_remote", /jaeger_remote is not among them/],
      ["OTEL_PROPAGATORS", "tracecontext,xray", /xray is not among them/],
      ["OTEL_PROPAGATORS", "none,b3", /or none\.$/],
      ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "lowmemory", /lowmemory is not/],
      [
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
        /is not among them/,
      ],
      ["OTEL_SDK_DISABLED", "hunter2", /true or false\.$/],
      ["OTEL_TRACES_SAMPLER_ARG", "1.5", /0 to 1/],
      ["OTEL_TRACES_SAMPLER_ARG", "-0.1", /0 to 1/],
      ["OTEL_RESOURCE_ATTRIBUTES", "hunter2", /a list such as/],
      ["OTEL_RESOURCE_ATTRIBUTES", "a=%zz", /a list such as/],
      ["OTEL_EXPORTER_OTLP_HEADERS", "hunter2", /a list of headers/],
      ["OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2", /a list of headers/],
      ["OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0Ab", /a list of headers/],
      ["OTEL_EXPORTER_OTLP_TIMEOUT", "0", /milliseconds in digits/],
      ["OTEL_EXPORTER_OTLP_TIMEOUT", "10s", /milliseconds in digits/],
      ["OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", /gzip or none\.$/],
      ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "hunter2", /URL/],
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@c", /a user or a password, which belong/],
      ["OTEL_BSP_SCHEDULE_DELAY", "", /set but empty/],
      ["OTEL_LOG_LEVEL", "", /set but empty/],
    ] as const,
  )(
    "are refused by name with what they may be: %s=%s",
    ([name, text, sentence]) =>
      Effect.gen(function* () {
        const problems = yield* problemsOf({ [name]: text })
        assert.strictEqual(problems.length, 1)
        assert.isTrue(problems[0].startsWith(`${name} `), problems[0])
        assert.match(problems[0], sentence)
        assert.notInclude(problems[0], "hunter2")
      }),
  )

  it.effect("refuse batches that are larger than what may wait", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ OTEL_BLRP_MAX_QUEUE_SIZE: "10" }), [
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE must not be larger than OTEL_BLRP_MAX_QUEUE_SIZE.",
      ])
    }))

  it.effect("refuse files that are no certificates", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(path, "hunter2")
      const withFile = (name: string, file = path) =>
        problemsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://c", [name]: file })
      assert.deepStrictEqual(yield* withFile("OTEL_EXPORTER_OTLP_CERTIFICATE"), [
        `OTEL_EXPORTER_OTLP_CERTIFICATE names ${path}, which is not in PEM form.`,
      ])
      assert.deepStrictEqual(yield* withFile("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/none"), [
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE names /none, which cannot be read (NotFound).",
      ])
      assert.deepStrictEqual(yield* withFile("OTEL_EXPORTER_OTLP_CLIENT_KEY"), [
        "OTEL_EXPORTER_OTLP_CLIENT_KEY has no effect without " +
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE; set both.",
      ])
      yield* fs.writeFileString(
        path,
        "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----",
      )
      assert.deepStrictEqual(yield* withFile("OTEL_EXPORTER_OTLP_CERTIFICATE"), [
        `OTEL_EXPORTER_OTLP_CERTIFICATE names ${path}, which holds no certificate that can be used.`,
      ])
    }))
})

describe("describeUnknown", () => {
  it("names what is set for other SDKs, and not what is Deno's or known", () => {
    assert.deepStrictEqual(
      describeUnknown([
        "PATH",
        "OTEL_PYTHON_LOG_CORRELATION",
        "OTEL_DENO",
        "OTEL_DENO_CONSOLE",
        "OTEL_SERVICE_NAM",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS_FILE",
        "OTEL_LOG_LEVEL",
      ]),
      [
        "These variables have no effect, since latchkey does not know them: " +
        "OTEL_PYTHON_LOG_CORRELATION, OTEL_SERVICE_NAM.",
      ],
    )
    assert.deepStrictEqual(describeUnknown(["PATH", "OTEL_SERVICE_NAME"]), [])
  })
})
