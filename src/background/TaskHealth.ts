/**
 * What becomes of work that nobody waits for: each run is counted, and its changes are logged.
 */
import { Clock, Effect, Exit, Metric } from "effect"
import type { ChangeLog } from "./ChangeLog.ts"

export interface TaskHealth {
  /** Takes note of how a run ended. */
  readonly record: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

const runs = Metric.counter("background_task_runs_total", {
  description: "Runs of background tasks that have ended",
  incremental: true,
})
const failures = Metric.counter("background_task_failures_total", {
  description: "Runs of background tasks that have failed",
  incremental: true,
})
const lastSuccess = Metric.gauge("background_task_last_success_timestamp_seconds", {
  description: "When a run of a background task last succeeded, in Unix time",
})

/** Of a task whose metrics have its name as their label `task`; in `changes` it is a part of that name. */
export const make = Effect.fnUntraced(function* (name: string, changes: ChangeLog) {
  const attributes = { task: name }
  const counted = Metric.withAttributes(runs, attributes)
  const failed = Metric.withAttributes(failures, attributes)
  const succeededAt = Metric.withAttributes(lastSuccess, attributes)
  // So that a rate can be had from the first failure on.
  yield* Metric.update(counted, 0)
  yield* Metric.update(failed, 0)
  const health: TaskHealth = {
    record: Effect.fnUntraced(function* (exit) {
      yield* changes.note(name, exit)
      if (Exit.isSuccess(exit)) {
        yield* Metric.update(succeededAt, Math.floor((yield* Clock.currentTimeMillis) / 1000))
      } else {
        yield* Metric.update(failed, 1)
      }
      yield* Metric.update(counted, 1)
    }),
  }
  return health
})
