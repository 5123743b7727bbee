/**
 * How many requests were answered, with what, and how long that took: by route, method and class of
 * status, of every request that reached the service.
 */
import { type Context, Metric } from "effect"
import { refusals, refusedWith } from "../operations/refusals.ts"
import { type Ended, type RequestRecord, unmatched } from "./requestRecord.ts"

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

interface Series {
  readonly duration: Metric.Histogram<number>
  /** By the first digit of the status, and 0 where there is none. */
  readonly counts: ReadonlyArray<Metric.Counter<number>>
}

const makeSeries = (method: string, route: string): Series => ({
  duration: Metric.withAttributes(durations, { method, route }),
  counts: classes.map((status) => Metric.withAttributes(requests, { method, route, status })),
})

export interface RequestMetrics {
  /** Counts a request that is over. */
  readonly observe: (ended: Ended) => void
  /** Counts a request that was refused, besides. */
  readonly countRefused: (status: number) => void
}

export const makeRequestMetrics = (context: Context.Context<never>): RequestMetrics => {
  const ofMethods = new Map<string, Map<string, Series>>()
  refusals.forEach((counter) => counter.updateUnsafe(0, context))
  const seriesOf = (record: RequestRecord) => {
    const method = methods.has(record.method) ? record.method : "other"
    const template = record.route?.template ?? unmatched
    const ofRoutes = ofMethods.get(method) ?? new Map<string, Series>()
    const series = ofRoutes.get(template) ?? makeSeries(method, template)
    ofRoutes.set(template, series)
    ofMethods.set(method, ofRoutes)
    return series
  }
  return {
    observe: ({ record, status = 0 }) => {
      const { duration, counts } = seriesOf(record)
      counts[Math.floor(status / 100)]?.updateUnsafe(1, context)
      duration.updateUnsafe((performance.now() - record.startedAt) / 1000, context)
    },
    countRefused: (status) => refusedWith(status).updateUnsafe(1, context),
  }
}
