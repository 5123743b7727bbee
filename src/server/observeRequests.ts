/**
 * What becomes of every request that reaches the service: counted by route, method and class of status,
 * with how long it took; logged, and traced where it was refused before anything else traced it.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect, Metric, References } from "effect"
import { refusals, refusedWith } from "../operations/refusals.ts"
import { type AccessLogMode, makeAccessLog } from "./accessLog.ts"
import { type Ended, type RequestRecord, takeRecord, unmatched } from "./requestRecord.ts"
import { spanOfRefusal } from "./routed/requestSpan.ts"

const requests = Metric.counter("http_requests_total", {
  description: "Requests, by what they were answered with; aborted where the client hung up before",
  incremental: true,
})

/** Up to the longest answers: clean-ups of many rows, which have no deadline. */
const durations = Metric.histogram("http_request_duration_seconds", {
  description: "Time from a request's headers to its answer",
  boundaries: [
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    15,
    30,
    60,
    300,
  ],
})

/** The methods of labels: a client may send any name for one. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])

const classes = ["aborted", "1xx", "2xx", "3xx", "4xx", "5xx"] as const

/** The class of answers from 500 on. */
const failures = 5

interface Series {
  readonly method: string
  readonly route: string
  readonly duration: Metric.Histogram<number>
  /** How many there were, by the first digit of the status, and 0 where there is none. */
  readonly counts: Array<number>
}

const makeSeries = (method: string, route: string): Series => ({
  method,
  route,
  duration: Metric.withAttributes(durations, { method, route }),
  counts: classes.map(() => 0),
})

const connectionsRefused = Metric.counter("http_connections_refused_total", {
  description: "Connections that were closed because there were as many as the service takes",
  incremental: true,
})

export interface Observers {
  /** A connection was closed, since there were too many. */
  readonly onConnectionRefused: () => void
  /** A request was refused before any work was done for it; its end is told as well. */
  readonly onRefusal: (request: IncomingMessage, response: ServerResponse) => void
  /** Something came that was no request, and was answered as such. */
  readonly onMalformed: (ended: Ended, status: number) => void
  /** The answer to a request was handed to the system, or its client is gone. */
  readonly onResponse: (response: ServerResponse) => void
}

/** Makes a function that gives the series of a record, which are made once. */
const makeSeriesOf = () => {
  const ofMethods = new Map<string, Map<string, Series>>()
  return (record: RequestRecord) => {
    const method = methods.has(record.method) ? record.method : "other"
    const template = record.route?.template ?? unmatched
    const ofRoutes = ofMethods.get(method) ?? new Map<string, Series>()
    const series = ofRoutes.get(template) ?? makeSeries(method, template)
    ofRoutes.set(template, series)
    ofMethods.set(method, ofRoutes)
    return series
  }
}

/**
 * Makes a function that counts a request. It adds to a number, which is looked at when somebody asks: to
 * update a metric allocates more than all else that is done here.
 */
const makeCount = Effect.gen(function* () {
  const context = yield* Effect.context<never>()
  const registrations: Array<Metric.Registration> = []
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => registrations.forEach((registration) => registration.remove()))
  )
  const register = ({ method, route, counts }: Series, index: number) => {
    const counter = Metric.withAttributes(requests, { method, route, status: classes[index] ?? "" })
    const get = () => ({ count: counts[index] ?? 0, incremental: true })
    const ignore = () => {}
    registrations.push(
      Metric.registerUnsafe(counter, context, { get, update: ignore, modify: ignore }),
    )
  }
  return (series: Series, status: number) => {
    const { counts } = series
    const index = Math.floor(status / 100)
    const before = counts[index] ?? 0
    counts[index] = before + 1
    if (before > 0) return
    register(series, index)
    // Failures count from zero, so that a rate can be had from the first on.
    if (index !== failures && counts[failures] === 0) register(series, failures)
  }
})

/** Makes the observers of the listeners, with an access log that closes with the scope. */
export const makeObservers = Effect.fnUntraced(function* (accessLog: AccessLogMode) {
  const runFork = Effect.runForkWith(yield* Effect.context())
  const isTraced = yield* References.TracerEnabled
  const context = yield* Effect.context<never>()
  const log = yield* makeAccessLog(accessLog)
  const seriesOf = makeSeriesOf()
  const count = yield* makeCount
  connectionsRefused.updateUnsafe(0, context)
  refusals.forEach((counter) => counter.updateUnsafe(0, context))

  const observe = (ended: Ended) => {
    const { record, status = 0 } = ended
    const series = seriesOf(record)
    count(series, status)
    series.duration.updateUnsafe((performance.now() - record.startedAt) / 1000, context)
    if (accessLog === "all" || status >= 400) log(ended)
  }

  const observers: Observers = {
    onConnectionRefused: () => connectionsRefused.updateUnsafe(1, context),
    onRefusal: (request, response) => {
      refusedWith(response.statusCode).updateUnsafe(1, context)
      if (isTraced) runFork(spanOfRefusal(request, response))
    },
    onMalformed: (ended, status) => {
      refusedWith(status).updateUnsafe(1, context)
      observe(ended)
    },
    onResponse: ({ req, statusCode, writableEnded }) => {
      const record = takeRecord(req)
      if (record === undefined) return
      observe({ record, status: writableEnded ? statusCode : undefined, socket: req.socket })
    },
  }
  return observers
})
