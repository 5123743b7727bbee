/**
 * What becomes of work that nobody waits for: each run is counted, and a log entry is made when it
 * begins to fail, when it fails for another reason than before, and when it works again. A task that
 * runs every five seconds would otherwise fill the log with one mistake.
 */
import { Cause, Clock, Effect, Exit, Metric, Predicate } from "effect"

export interface Task {
  /** The value of the label `task` of its metrics, such as `retention`. */
  readonly name: string
  /** What a failure means; the log entry adds a colon and the reason. */
  readonly failing: string
  /** The log entry of the first success after a failure. */
  readonly recovered: string
}

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

const messageOf = (error: unknown): string =>
  Predicate.hasProperty(error, "message") && Predicate.isString(error.message) &&
    error.message !== ""
    ? error.message
    : Predicate.hasProperty(error, "_tag")
    ? String(error._tag)
    : String(error)

/** The reasons of a failure as one text, each once; no stacks. */
export const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const messages = cause.reasons.flatMap((reason) =>
    reason._tag === "Fail"
      ? messageOf(reason.error)
      : reason._tag === "Die"
      ? messageOf(reason.defect)
      : []
  )
  return messages.length === 0 ? "it was interrupted" : [...new Set(messages)].join("; ")
}

export const make = Effect.fnUntraced(function* ({ name, failing, recovered }: Task) {
  const attributes = { task: name }
  const counted = Metric.withAttributes(runs, attributes)
  const failed = Metric.withAttributes(failures, attributes)
  const succeededAt = Metric.withAttributes(lastSuccess, attributes)
  // So that a rate can be had from the first failure on.
  yield* Metric.update(counted, 0)
  yield* Metric.update(failed, 0)
  let known: string | undefined
  const tellChange = (exit: Exit.Exit<unknown, unknown>) => {
    if (Exit.isSuccess(exit)) return Effect.logInfo(recovered)
    const entry = `${failing}: ${known}`
    // A defect is for developers, who need its stack.
    return Cause.hasDies(exit.cause) ? Effect.logError(entry, exit.cause) : Effect.logError(entry)
  }
  const health: TaskHealth = {
    record: Effect.fnUntraced(function* (exit) {
      const before = known
      known = Exit.isSuccess(exit) ? undefined : reasonOf(exit.cause)
      if (known !== before) yield* tellChange(exit)
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
