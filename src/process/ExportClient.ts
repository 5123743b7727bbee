/**
 * How telemetry gets to its collector: exports that fail, hang or are slow cost a bounded amount of
 * memory and connections, and are counted and logged instead of being lost in silence.
 *
 * Effect's exporter has no deadline, starts an export for each full batch, however many are under way,
 * and after a failure drops what comes in the next minute, uncounted. So it hears of none from here.
 */
import {
  Clock,
  Duration,
  Effect,
  Exit,
  Layer,
  Metric,
  Option,
  Schedule,
  Semaphore,
  Stream,
} from "effect"
import {
  FetchHttpClient,
  type HttpBody,
  HttpClient,
  type HttpClientError,
  type HttpClientRequest,
  HttpClientResponse,
} from "effect/http"
import { OtlpSerialization } from "effect/observability"
import { type ChangeLog, makeChangeLog } from "../background/ChangeLog.ts"
import * as TaskHealth from "../background/TaskHealth.ts"

export interface ExportOptions {
  /** The time for one export, with its retries. */
  readonly timeout: Duration.Duration
  /** Exports of one signal at once; a batch that comes while there are as many is dropped. */
  readonly maxInFlight: number
}

/** OpenTelemetry's default for the time; two batches of a thousand spans are a few megabytes. */
const defaults: ExportOptions = { timeout: Duration.seconds(10), maxInFlight: 2 }

/** How long no batch must have been dropped until the collector is said to keep up. */
const calm = Duration.toMillis("1 minute")

const signals = ["traces", "metrics", "logs"] as const
type Signal = (typeof signals)[number]

const dropped = Metric.counter("telemetry_dropped_total", {
  description: "Spans, metrics and log entries that were not exported",
  incremental: true,
})

interface Contents {
  readonly signal: Signal
  readonly items: number
}

/** What is in a body that has been encoded, and says so no more. */
const contents = new WeakMap<HttpBody.HttpBody, Contents>()

const noted = (
  body: HttpBody.HttpBody,
  signal: Signal,
  groups: ReadonlyArray<ArrayLike<unknown>>,
) => {
  contents.set(body, { signal, items: groups.reduce((sum, { length }) => sum + length, 0) })
  return body
}

/** OTLP in JSON; the client below knows what is in each body. */
const Serialization = Layer.effect(
  OtlpSerialization.OtlpSerialization,
  Effect.map(OtlpSerialization.OtlpSerialization, ({ traces, metrics, logs }) => ({
    traces: (data) => {
      const scopes = data.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans)
      return noted(traces(data), "traces", scopes.map(({ spans }) => spans))
    },
    metrics: (data) => {
      const scopes = data.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)
      return noted(metrics(data), "metrics", scopes.map(({ metrics }) => metrics))
    },
    logs: (data) => {
      const scopes = data.resourceLogs.flatMap(({ scopeLogs }) => scopeLogs)
      return noted(logs(data), "logs", scopes.map(({ logRecords = [] }) => logRecords))
    },
  })),
).pipe(Layer.provide(OtlpSerialization.layerJson))

/** Of every signal alike, so that a collector that is away is one entry in the log. */
const reasonOf = ({ reason, request }: HttpClientError.HttpClientError): string => {
  const collector = `the collector at ${URL.parse(request.url)?.origin}`
  return reason._tag === "StatusCodeError"
    ? `${collector} answers with ${reason.response.status}`
    : `${collector} cannot be reached`
}

/** One signal's exports: how many are under way, and what has become of them. */
const makeExports = Effect.fnUntraced(function* (
  signal: Signal,
  { timeout, maxInFlight }: ExportOptions,
  changes: ChangeLog,
) {
  const health = yield* TaskHealth.make(`export-${signal}`, changes)
  const slots = yield* Semaphore.make(maxInFlight)
  const lost = Metric.withAttributes(dropped, { signal })
  yield* Metric.update(lost, 0)
  let failing = false
  let lastDrop = -Infinity

  /** A collector that takes what it gets, but more slowly than it comes. */
  const notePace = Effect.fnUntraced(function* (started: number) {
    const now = yield* Clock.currentTimeMillis
    if (lastDrop >= started) {
      const message = "it comes faster than the collector takes it; the rest is dropped"
      yield* changes.note(`pace of ${signal}`, Exit.fail({ message }))
    } else if (now - lastDrop > calm) {
      yield* changes.note(`pace of ${signal}`, Exit.void)
    }
  })

  const attempt = Effect.fnUntraced(function* <R>(
    send: Effect.Effect<
      HttpClientResponse.HttpClientResponse,
      HttpClientError.HttpClientError,
      R
    >,
    items: number,
  ) {
    const started = yield* Clock.currentTimeMillis
    const exit = yield* send.pipe(
      Effect.flatMap(HttpClientResponse.filterStatusOk),
      Effect.tap(({ stream }) => Effect.ignore(Stream.runDrain(stream))),
      Effect.retry({
        while: HttpClient.isTransientError,
        // Not while it has been away for long: that would hold up a stop for nothing.
        times: failing ? 0 : 2,
        schedule: Schedule.exponential("1 second"),
      }),
      Effect.mapError((error) => ({ message: reasonOf(error) })),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.fail({
            message: `the collector did not answer within ${Duration.format(timeout)}`,
          }),
      }),
      Effect.exit,
    )
    failing = Exit.isFailure(exit)
    if (failing) yield* Metric.update(lost, items)
    yield* health.record(exit)
    if (!failing) yield* notePace(started)
  })

  const drop = Effect.fnUntraced(function* (items: number) {
    lastDrop = yield* Clock.currentTimeMillis
    yield* Metric.update(lost, items)
  })

  return <R>(
    send: Effect.Effect<
      HttpClientResponse.HttpClientResponse,
      HttpClientError.HttpClientError,
      R
    >,
    items: number,
  ) =>
    Effect.flatMap(
      slots.withPermitsIfAvailable(1)(attempt(send, items)),
      Option.match({ onSome: () => Effect.void, onNone: () => drop(items) }),
    )
})

const accepted = (request: HttpClientRequest.HttpClientRequest) =>
  HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))

const makeClient = Effect.fnUntraced(function* (options: ExportOptions) {
  const changes = makeChangeLog({
    failing: "Telemetry is not exported",
    recovered: "Telemetry is exported again",
  })
  const exports = {
    traces: yield* makeExports("traces", options, changes),
    metrics: yield* makeExports("metrics", options, changes),
    logs: yield* makeExports("logs", options, changes),
  }
  return HttpClient.transform(yield* HttpClient.HttpClient, (send, request) => {
    const content = contents.get(request.body)
    if (content === undefined) return send
    return Effect.as(exports[content.signal](send, content.items), accepted(request))
  })
})

/** What Effect's OTLP exporter needs. */
export const layer = (options: ExportOptions = defaults) =>
  Layer.effect(HttpClient.HttpClient, makeClient(options)).pipe(
    Layer.provide(FetchHttpClient.layer),
    Layer.merge(Serialization),
  )
