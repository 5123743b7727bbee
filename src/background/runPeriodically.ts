/**
 * Work on a schedule that goes on whatever becomes of one run.
 */
import { Cause, type Duration, Effect, Exit, type Schedule } from "effect"
import { makeChangeLog, reasonOf, type Wording } from "./ChangeLog.ts"
import { Fatal } from "./Fatal.ts"
import * as TaskHealth from "./TaskHealth.ts"

export interface PeriodicTask<E, R> extends Wording {
  /** The label `task` of its metrics, such as `retention`. */
  readonly name: string
  /** Runs one at a time: the schedule goes on from the end of each. */
  readonly run: Effect.Effect<unknown, E, R>
  readonly firstAfter: Duration.Duration
  /** The time between runs; it must not come to an end. */
  readonly schedule: Schedule.Schedule<unknown>
}

/**
 * Runs the task in the background until its scope closes, which interrupts a run under way. A run
 * that fails, for a defect as well, is recorded and the next one follows. Should the schedule itself
 * end, the service ends.
 */
export const runPeriodically = Effect.fnUntraced(function* <E, R>(task: PeriodicTask<E, R>) {
  const health = yield* TaskHealth.make(task.name, makeChangeLog(task))
  const { fail } = yield* Fatal
  yield* task.run.pipe(
    Effect.exit,
    Effect.flatMap(health.record),
    Effect.repeat(task.schedule),
    Effect.delay(task.firstAfter),
    Effect.onExit((exit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Effect.void : fail(
        `The background task "${task.name}" has ended` +
          (Exit.isFailure(exit) ? `: ${reasonOf(exit.cause)}.` : "."),
      )
    ),
    Effect.forkScoped,
  )
})
