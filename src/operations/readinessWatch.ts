/**
 * Looks again and again whether the service is ready, for the log and the metrics: an outage would
 * otherwise be seen only by those who ask.
 */
import { Duration, Effect, Layer, Metric, Schedule } from "effect"
import { runPeriodically } from "../background/runPeriodically.ts"
import { Readiness } from "./Readiness.ts"
import { reasons } from "./ReadinessLayer.ts"

const ready = Metric.gauge("ready", {
  description: "Whether the service was ready when it last looked: 1 or 0",
})

const notReady = Metric.gauge("not_ready", {
  description: "1 for the reason why the service was not ready when it last looked",
})

const interval = "5 seconds"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { check } = yield* Readiness
    const note = Effect.fnUntraced(function* (reason: string | undefined) {
      yield* Metric.update(ready, reason === undefined ? 1 : 0)
      for (const one of reasons) {
        const gauge = Metric.withAttributes(notReady, { reason: one })
        yield* Metric.update(gauge, one === reason ? 1 : 0)
      }
    })
    yield* runPeriodically({
      name: "readiness",
      failing: "Readiness cannot be looked at",
      recovered: "Readiness can be looked at again",
      // That it is not ready is an outcome, not a failure of the look.
      run: Effect.matchEffect(check, {
        onSuccess: () => note(undefined),
        onFailure: ({ reason }) => note(reason),
      }),
      firstAfter: Duration.zero,
      schedule: Schedule.spaced(interval),
    })
  }),
)
