/**
 * Requests that were refused before any work was done for them, counted by reason.
 */
import { Metric } from "effect"

const refused = Metric.counter("http_requests_refused_total", {
  description: "Requests that were refused before any work was done for them",
  incremental: true,
})

const reasons = {
  400: "malformed",
  401: "unauthorized",
  403: "forbidden",
  404: "not-found",
  405: "method-not-allowed",
  408: "request-timeout",
  411: "length-required",
  413: "body-too-large",
  415: "unsupported-media-type",
  417: "expectation-failed",
  431: "headers-too-large",
  503: "overloaded",
} as const

const counters = new Map(
  Object.entries(reasons).map(([status, reason]) => [
    Number(status),
    Metric.withAttributes(refused, { reason }),
  ]),
)
const other = Metric.withAttributes(refused, { reason: "other" })

/** The counter of requests that were refused with a status. */
export const refusedWith = (status: number): Metric.Counter<number> => counters.get(status) ?? other

/** All of them: each is 0 before it is counted, so that a rate can be had from the first on. */
export const refusals: ReadonlyArray<Metric.Counter<number>> = [...counters.values(), other]
