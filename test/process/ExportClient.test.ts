import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer, Metric, Option, Scope } from "effect"
import { Otlp, OtlpExporter, PrometheusMetrics } from "effect/observability"
import * as ExportClient from "../../src/process/ExportClient.ts"
import * as Serialization from "../../src/process/telemetry/Serialization.ts"
import * as Collector from "../support/Collector.ts"
import { LogLines } from "../support/LogLines.ts"

const batch = 10

const noLimits = {
  attributeLength: Infinity,
  attributeCount: 128,
  eventCount: 128,
  eventAttributeCount: 128,
  linkCount: 128,
  linkAttributeCount: 128,
}

/** Exports spans in batches of ten as they end; the rest and the other signals when flushed. */
const exporting = (
  url: string,
  timeout: Duration.Duration,
  protocol: "http/json" | "http/protobuf" = "http/protobuf",
) => {
  const options = { timeout, maxInFlight: 2, compression: "none", tls: Option.none() } as const
  return Otlp.layer({
    baseUrl: url,
    resource: { serviceName: "test" },
    maxBatchSize: batch,
    tracerExportInterval: "1 hour",
    metricsExportInterval: "1 hour",
    loggerExportInterval: "1 hour",
    loggerMergeWithExisting: true,
    shutdownTimeout: "10 millis",
  }).pipe(
    Layer.provide(ExportClient.layer({ traces: options, metrics: options, logs: options })),
    Layer.provide(Serialization.layer(
      { traces: protocol, metrics: protocol, logs: protocol },
      { spanLimits: noLimits, logLimits: noLimits },
    )),
    Layer.provideMerge(LogLines.layer),
    Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
  )
}

const spans = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    (_, index) => Effect.withSpan(Effect.void, `span ${index}`),
    { discard: true },
  )

const metric = (series: string) =>
  Effect.map(PrometheusMetrics.format(), (text) => {
    const line = text.split("\n").find((line) => line.startsWith(`${series} `))
    return Number(line?.slice(series.length))
  })

const droppedSpans = metric('telemetry_dropped_total{signal="traces"}')
const failedExports = metric('background_task_failures_total{task="export-traces"}')

const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.delay(condition, "5 millis"), { until: (holds) => holds })

/** Lines about exports, without the address. */
const told = Effect.map(
  LogLines,
  (lines) => lines.map((line) => line.replace(/127\.0\.0\.1:\d+/, "COLLECTOR")),
)

const failing = "Error Telemetry is not exported"
const recovered = "Info Telemetry is exported again"

/** Exports what there is, and waits until each span has been taken or dropped. */
const settle = Effect.fnUntraced(function* (collector: Collector.Collector, sent: number) {
  const { flush } = yield* OtlpExporter.Flusher
  yield* flush
  yield* until(Effect.map(droppedSpans, (count) => count + collector.spans.length === sent))
})

it.live.each<[string, Collector.Behaviour, Duration.Duration, string]>(
  [
    ["hangs", { _tag: "Hang" }, Duration.millis(200), "did not answer within 200ms"],
    [
      "hangs in its answer",
      { _tag: "HangInBody" },
      Duration.millis(200),
      "did not answer within 200ms",
    ],
    [
      "refuses",
      { _tag: "Refuse", status: 401 },
      Duration.minutes(1),
      "at http://COLLECTOR answers with 401",
    ],
    [
      "redirects",
      { _tag: "Redirect", to: "http://127.0.0.1:1/" },
      Duration.minutes(1),
      "at http://COLLECTOR answers with 307",
    ],
  ],
)(
  "ExportClient with a collector that %s: bounded, counted, said once, and over when that is",
  ([, behaviour, timeout, reason]) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.behave(behaviour)
      yield* Effect.gen(function* () {
        yield* spans(50 * batch)
        yield* settle(collector, 50 * batch)
        assert.strictEqual(yield* droppedSpans, 50 * batch)
        assert.isBelow(collector.mostAtOnce(), 10)
        // Again, with logs and metrics as well: the same trouble is not said twice.
        yield* Effect.logInfo("something")
        yield* spans(1)
        yield* settle(collector, 50 * batch + 1)
        assert.isAbove(yield* failedExports, 1)
        assert.deepStrictEqual(yield* told, [
          `${failing}: the collector ${reason}`,
          "Info something",
        ])

        collector.behave({ _tag: "Accept" })
        // On a machine that is busy, also a collector that accepts may take too long.
        const { flush } = yield* OtlpExporter.Flusher
        yield* until(Effect.gen(function* () {
          yield* Effect.logInfo("something else")
          yield* spans(1)
          yield* flush
          return (yield* told).at(-1) === recovered
        }))
        assert.include(collector.spans, "span 0")
      }).pipe(Effect.provide(exporting(collector.url, timeout)))
    }).pipe(Effect.scoped),
)

it.live("ExportClient with a collector that is not there says so, and when it is", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const gone = yield* Scope.provide(Collector.make(), scope)
    yield* Scope.close(scope, yield* Effect.exit(Effect.void))
    yield* Effect.gen(function* () {
      const flusher = yield* OtlpExporter.Flusher
      yield* spans(1)
      yield* flusher.flush
      yield* spans(1)
      yield* flusher.flush
      assert.strictEqual(yield* droppedSpans, 2)
      const collector = yield* Collector.make(Number(new URL(gone.url).port))
      yield* Effect.logInfo("something")
      yield* spans(1)
      yield* flusher.flush
      assert.deepStrictEqual(collector.spans, ["span 0"])
      assert.deepStrictEqual(yield* told, [
        `${failing}: the collector at http://COLLECTOR cannot be reached`,
        "Info something",
        recovered,
      ])
    }).pipe(Effect.provide(exporting(gone.url, Duration.seconds(60))))
  }).pipe(Effect.scoped))

it.live("ExportClient with a collector that is too slow drops what it cannot take, and says so once", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make()
    collector.behave({ _tag: "Delay", millis: 50 })
    yield* Effect.gen(function* () {
      for (const round of [1, 2, 3]) {
        yield* spans(20 * batch)
        yield* settle(collector, round * 20 * batch)
      }
      assert.isAbove(yield* droppedSpans, 0)
      assert.isBelow(collector.mostAtOnce(), 10)
      assert.strictEqual(yield* failedExports, 0)
      yield* until(Effect.map(told, (lines) => lines.length > 0))
      assert.deepStrictEqual(yield* told, [
        `${failing}: it comes faster than the collector takes it; the rest is dropped`,
      ])
    }).pipe(Effect.provide(exporting(collector.url, Duration.seconds(60))))
  }).pipe(Effect.scoped))

it.live("ExportClient tries an export again that a collector has no time for", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make()
    collector.behave({ _tag: "Refuse", status: 503 })
    yield* Effect.gen(function* () {
      const flusher = yield* OtlpExporter.Flusher
      yield* spans(1)
      yield* Effect.all([
        flusher.flush,
        Effect.andThen(
          until(Effect.sync(() => collector.mostAtOnce() > 0)),
          Effect.sync(() => collector.behave({ _tag: "Accept" })),
        ),
      ], { concurrency: 2 })
      assert.deepStrictEqual(collector.spans, ["span 0"])
      assert.strictEqual(yield* droppedSpans, 0)
      assert.deepStrictEqual(yield* told, [])
    }).pipe(Effect.provide(exporting(collector.url, Duration.seconds(60))))
  }).pipe(Effect.scoped))

it.live.each(["http/json", "http/protobuf"] as const)(
  "ExportClient counts what a collector rejects of an export, in %s, and says so once",
  (protocol) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.behave({ _tag: "Reject", items: 3 })
      yield* Effect.gen(function* () {
        const { flush } = yield* OtlpExporter.Flusher
        yield* spans(batch - 1)
        yield* flush
        yield* spans(1)
        yield* flush
        // Of an export of one, no more than that.
        assert.strictEqual(yield* droppedSpans, 4)
        assert.strictEqual(yield* failedExports, 0)
        assert.deepStrictEqual(yield* told, [
          `${failing}: the collector at http://COLLECTOR rejects a part of it; that is dropped`,
        ])
        collector.behave({ _tag: "Accept" })
        yield* Effect.logInfo("something")
        yield* spans(1)
        yield* flush
        assert.strictEqual((yield* told).at(-1), recovered)
        assert.strictEqual(yield* droppedSpans, 4)
      }).pipe(Effect.provide(exporting(collector.url, Duration.seconds(60), protocol)))
    }).pipe(Effect.scoped),
)
