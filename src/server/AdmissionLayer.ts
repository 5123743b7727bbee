import { Context, Duration, Effect, Fiber, FiberSet, Layer, Metric } from "effect"
import { HttpMethod, type HttpServerResponse } from "effect/http"
import type { unhandled } from "effect/Types"
import { Admission, LongRunning } from "../api/Admission.ts"
import { DatabaseUnavailable, Overloaded } from "../api/problems.ts"

export interface AdmissionOptions {
  /** Requests that are worked on at once; more are turned away. */
  readonly maxInFlight: number
  /**
   * The time for an answer. Longer than any statement may take, so that a write that is given up at
   * its end has been given up by the database before.
   */
  readonly deadline: Duration.Duration
  /** What is left for writes under way to finish when the service stops. */
  readonly timeToStop: Effect.Effect<Duration.Duration>
}

const inFlightGauge = Metric.gauge("http_requests_in_flight", {
  description: "Requests that are being worked on",
})

const durations = Metric.histogram("http_request_duration_seconds", {
  description: "Time from admission to answer",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
})

/**
 * Requests are worked on in fibers of their own, for two reasons. A client that hangs up ends its
 * request, but not a write that is under way. And the deadline is kept even where work that is given
 * up takes its time to end, as on a connection that is dead: it counts as in flight until then.
 */
export const AdmissionLayer = ({ maxInFlight, deadline, timeToStop }: AdmissionOptions) =>
  Layer.effect(
    Admission,
    Effect.gen(function* () {
      const context = yield* Effect.context()
      const works = yield* FiberSet.make<
        HttpServerResponse.HttpServerResponse,
        unhandled | DatabaseUnavailable
      >()
      yield* Effect.addFinalizer(() =>
        Effect.flatMap(timeToStop, (time) => Effect.timeoutOption(FiberSet.awaitEmpty(works), time))
      )
      let inFlight = 0
      const enter = () => inFlightGauge.updateUnsafe(++inFlight, context)
      const leave = () => inFlightGauge.updateUnsafe(--inFlight, context)

      const timedOut = Effect.fail(
        new DatabaseUnavailable({ detail: "The database did not answer in time" }),
      )
      /** How the work ends, or that it has not ended in time. */
      const answer = <A, E>(fiber: Fiber.Fiber<A, E>, isWrite: boolean, isLong: boolean) =>
        Effect.callback<A, E | DatabaseUnavailable>((resume) => {
          const timer = isLong ? undefined : setTimeout(() => {
            resume(timedOut)
            fiber.interruptUnsafe()
          }, Duration.toMillis(deadline))
          fiber.addObserver((exit) => {
            clearTimeout(timer)
            resume(exit)
          })
          return isWrite ? undefined : Effect.sync(() => fiber.interruptUnsafe())
        })

      return Admission.of((httpEffect, { endpoint, group }) => {
        const duration = Metric.withAttributes(durations, {
          endpoint: `${group.identifier}.${endpoint.identifier}`,
        })
        const isLong = Context.get(endpoint.annotations, LongRunning)
        const isWrite = HttpMethod.hasBody(endpoint.method)
        return Effect.gen(function* () {
          if (inFlight >= maxInFlight) return yield* new Overloaded({})
          enter()
          const started = performance.now()
          const work = Effect.onExit(httpEffect, () =>
            Effect.sync(() => {
              leave()
              duration.updateUnsafe((performance.now() - started) / 1000, context)
            }))
          return yield* answer(yield* FiberSet.run(works, work), isWrite, isLong)
        })
      })
    }),
  )
