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
  /** The time that writes under way have to finish when the service stops. */
  readonly shutdownTimeout: Duration.Duration
}

const inFlightGauge = Metric.gauge("http_requests_in_flight", {
  description: "Requests that are being worked on",
})

const durations = Metric.histogram("http_request_duration_seconds", {
  description: "Time from admission to answer",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
})

/**
 * Writes run in fibers of their own: a client that hangs up ends its request, but not the write,
 * which counts as in flight until it is done.
 */
export const AdmissionLayer = ({ maxInFlight, deadline, shutdownTimeout }: AdmissionOptions) =>
  Layer.effect(
    Admission,
    Effect.gen(function* () {
      const context = yield* Effect.context()
      const writes = yield* FiberSet.make<
        HttpServerResponse.HttpServerResponse,
        unhandled | DatabaseUnavailable
      >()
      yield* Effect.addFinalizer(() =>
        FiberSet.awaitEmpty(writes).pipe(Effect.timeoutOption(shutdownTimeout))
      )
      let inFlight = 0
      const enter = () => inFlightGauge.updateUnsafe(++inFlight, context)
      const leave = () => inFlightGauge.updateUnsafe(--inFlight, context)

      const timedOut = () =>
        Effect.fail(new DatabaseUnavailable({ detail: "The database did not answer in time" }))

      return Admission.of((httpEffect, { endpoint, group }) => {
        const duration = Metric.withAttributes(durations, {
          endpoint: `${group.identifier}.${endpoint.identifier}`,
        })
        const bounded = Context.get(endpoint.annotations, LongRunning)
          ? httpEffect
          : Effect.timeoutOrElse(httpEffect, { duration: deadline, orElse: timedOut })
        return Effect.gen(function* () {
          if (inFlight >= maxInFlight) return yield* new Overloaded({})
          enter()
          const started = performance.now()
          const counted = Effect.onExit(bounded, () =>
            Effect.sync(() => {
              leave()
              duration.updateUnsafe((performance.now() - started) / 1000, context)
            }))
          return yield* HttpMethod.hasBody(endpoint.method)
            ? Effect.flatMap(FiberSet.run(writes, counted), Fiber.join)
            : counted
        })
      })
    }),
  )
