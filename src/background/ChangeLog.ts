/**
 * Log entries about work that is done again and again: one when it begins to fail, one when it fails
 * for another reason than before, one when it works again. A task that runs every five seconds would
 * otherwise fill the log with one mistake.
 */
import { Cause, Clock, Duration, Effect, Exit, Predicate } from "effect"

export interface Wording {
  /** What a failure means; the entry adds a colon and the reason. */
  readonly failing: string
  /** The entry of the success after the last failure. */
  readonly recovered: string
}

export interface ChangeLog {
  /**
   * Takes note of how a run ended. Parts may fail on their own: a reason that they share is logged
   * once, and that they work again when all of them do; one that has not failed for a minute, because
   * it had nothing to do, counts as one that does.
   */
  readonly note: (part: string, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

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

const memory = Duration.toMillis("1 minute")

export const makeChangeLog = ({ failing, recovered }: Wording): ChangeLog => {
  const failures = new Map<string, { readonly reason: string; readonly at: number }>()
  const noteSuccess = Effect.fnUntraced(function* (part: string) {
    if (failures.size === 0) return
    const now = yield* Clock.currentTimeMillis
    failures.delete(part)
    for (const [other, { at }] of failures) if (now - at > memory) failures.delete(other)
    if (failures.size === 0) yield* Effect.logInfo(recovered)
  })
  const noteFailure = Effect.fnUntraced(function* (part: string, cause: Cause.Cause<unknown>) {
    const reason = reasonOf(cause)
    const isKnown = Array.from(failures.values()).some((failure) => failure.reason === reason)
    failures.set(part, { reason, at: yield* Clock.currentTimeMillis })
    if (isKnown) return
    const entry = `${failing}: ${reason}`
    // A defect is for developers, who need its stack.
    yield* Cause.hasDies(cause) ? Effect.logError(entry, cause) : Effect.logError(entry)
  })
  return {
    note: (part, exit) => Exit.isSuccess(exit) ? noteSuccess(part) : noteFailure(part, exit.cause),
  }
}
