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
  Redacted,
  Schedule,
  Semaphore,
  Stream,
} from "effect"
import {
  FetchHttpClient,
  type HttpBody,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse,
} from "effect/http"
import { type ChangeLog, makeChangeLog } from "../background/ChangeLog.ts"
import * as TaskHealth from "../background/TaskHealth.ts"
import type { ExportSettings, Tls } from "../config/telemetry/TelemetrySettings.ts"
import { type Signal, signals } from "../config/telemetry/variables.ts"
import { rejectedIn } from "./telemetry/rejected.ts"

/** How one signal is sent: how long an export may take, how many there may be at once, and by what. */
export type ExportOptions = Pick<ExportSettings, "timeout" | "maxInFlight" | "compression" | "tls">

/** Of each signal that is exported. */
export type Exported<A> = { readonly [Name in Signal]?: A }

/** How long no batch must have been dropped until the collector is said to keep up. */
const calm = Duration.toMillis("1 minute")

/** As much of a collector's answer as is read: it has a number, and a sentence that nobody reads. */
const longestAnswer = 64 * 1024

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

/** Remembers what is in a body, for the client below, which sends no others. */
export const noted = (
  body: HttpBody.HttpBody,
  signal: Signal,
  groups: ReadonlyArray<ArrayLike<unknown>>,
): HttpBody.HttpBody => {
  contents.set(body, { signal, items: groups.reduce((sum, { length }) => sum + length, 0) })
  return body
}

/** The beginning of a collector's answer; of what breaks or is too long, as much as there was. */
const readAnswer = Effect.fnUntraced(function* ({ stream }: HttpClientResponse.HttpClientResponse) {
  const chunks: Array<Uint8Array> = []
  let size = 0
  yield* Stream.runForEach(
    Stream.takeWhile(stream, () => size < longestAnswer),
    (chunk) =>
      Effect.sync(() => {
        chunks.push(chunk)
        size += chunk.length
      }),
  ).pipe(Effect.ignore)
  return Buffer.concat(chunks)
})

const originOf = ({ url }: HttpClientRequest.HttpClientRequest) =>
  `the collector at ${URL.parse(url)?.origin}`

/** Of every signal alike, so that a collector that is away is one entry in the log. */
const reasonOf = ({ reason, request }: HttpClientError.HttpClientError): string => {
  const collector = originOf(request)
  return reason._tag === "StatusCodeError"
    ? `${collector} answers with ${reason.response.status}`
    : `${collector} cannot be reached`
}

/** A collector that takes exports, but not all that is in them. */
const noteRejections = (
  signal: Signal,
  changes: ChangeLog,
  { request }: HttpClientResponse.HttpClientResponse,
  rejected: number,
) =>
  changes.note(
    `rejections of ${signal}`,
    rejected === 0
      ? Exit.void
      : Exit.fail({ message: `${originOf(request)} rejects a part of it; that is dropped` }),
  )

type Send = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

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

  const attempt = Effect.fnUntraced(function* (send: Send, items: number) {
    const started = yield* Clock.currentTimeMillis
    const exit = yield* send.pipe(
      Effect.flatMap(HttpClientResponse.filterStatusOk),
      Effect.flatMap((response) =>
        Effect.map(readAnswer(response), (body) => ({
          response,
          rejected: rejectedIn(response.headers["content-type"], body),
        }))
      ),
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
    if (Exit.isFailure(exit)) return
    const { response, rejected } = exit.value
    if (rejected > 0) yield* Metric.update(lost, Math.min(rejected, items))
    yield* noteRejections(signal, changes, response, rejected)
    yield* notePace(started)
  })

  const drop = Effect.fnUntraced(function* (items: number) {
    lastDrop = yield* Clock.currentTimeMillis
    yield* Metric.update(lost, items)
  })

  return (send: Send, items: number) =>
    Effect.flatMap(
      slots.withPermitsIfAvailable(1)(attempt(send, items)),
      Option.match({ onSome: () => Effect.void, onNone: () => drop(items) }),
    )
})

const accepted = (request: HttpClientRequest.HttpClientRequest) =>
  HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))

/** The client of Deno for a collector that wants or has certificates of its own. */
const makeDenoClient = ({ caCertificates, client }: Tls) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Deno.createHttpClient({
        caCerts: [...caCertificates],
        ...Option.match(client, {
          onNone: () => ({}),
          onSome: ({ certificate, key }) => ({ cert: certificate, key: Redacted.value(key) }),
        }),
      })
    ),
    (client) => Effect.sync(() => client.close()),
  )

/** A client whose requests go where they are sent to and nowhere else, compressed if they are to be. */
const makeSender = Effect.fnUntraced(function* ({ compression, tls }: ExportOptions) {
  const init: RequestInit & { readonly client?: Deno.HttpClient } = {
    // With the headers, which may be secret, to another server.
    redirect: "manual",
    ...Option.isSome(tls) ? { client: yield* makeDenoClient(tls.value) } : {},
  }
  const fetching = HttpClient.transformResponse(
    yield* HttpClient.HttpClient,
    Effect.provideService(FetchHttpClient.RequestInit, init),
  )
  return compression === "none"
    ? fetching
    : HttpClient.mapRequestEffect(fetching, HttpClientRequest.compressBody("gzip"))
})

const makeExporter = Effect.fnUntraced(function* (
  signal: Signal,
  options: ExportOptions,
  changes: ChangeLog,
) {
  const exported = yield* makeExports(signal, options, changes)
  const sender = yield* makeSender(options)
  return (request: HttpClientRequest.HttpClientRequest, items: number) =>
    exported(sender.execute(request), items)
})

const makeClient = Effect.fnUntraced(function* (options: Exported<ExportOptions>) {
  const changes = makeChangeLog({
    failing: "Telemetry is not exported",
    recovered: "Telemetry is exported again",
  })
  const exporters = new Map<Signal, Effect.Success<ReturnType<typeof makeExporter>>>()
  for (const signal of signals) {
    const own = options[signal]
    if (own !== undefined) exporters.set(signal, yield* makeExporter(signal, own, changes))
  }
  return HttpClient.make((request) => {
    const { signal, items } = contents.get(request.body) ?? {}
    const send = signal && exporters.get(signal)
    return send === undefined || items === undefined
      ? Effect.die(new TypeError("A request that is no export"))
      : Effect.as(send(request, items), accepted(request))
  })
})

/** What Effect's OTLP exporter sends by. Its bodies have to be {@link noted}. */
export const layer = (options: Exported<ExportOptions>) =>
  Layer.effect(HttpClient.HttpClient, makeClient(options)).pipe(
    Layer.provide(FetchHttpClient.layer),
  )
