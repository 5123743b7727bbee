/**
 * One look at one thing, bounded in time, which cannot break the looks at others.
 */
import { Array, Cause, Duration, Effect } from "effect"
import { reasonOf } from "../background/ChangeLog.ts"
import { error, Finding, type Group, type Seen, skipped } from "./Finding.ts"

export interface Check<R = never> {
  readonly group: Group
  readonly name: string
  /** Failing, or a defect, is an error finding. */
  readonly look: Effect.Effect<Seen | ReadonlyArray<Seen>, unknown, R>
  /** How long the look may take. Default 15 seconds. */
  readonly patience?: Duration.Duration
}

const place = ({ group, name }: Pick<Check, "group" | "name">) => (seen: Seen) =>
  new Finding({ group, name, ...seen })

/** Looks, and gives what was found: whatever happens, at least one finding. */
export const run = <R>(check: Check<R>): Effect.Effect<ReadonlyArray<Finding>, never, R> => {
  const patience = check.patience ?? Duration.seconds(15)
  const failed = (reason: string) =>
    error(
      `This could not be looked at: ${reason.replace(/\.$/, "")}.`,
      "Mend that, and look again.",
    )
  return check.look.pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.succeed(failed(`it took longer than ${Duration.format(patience)}`)),
    }),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.succeed(failed(reasonOf(cause)))
    ),
    Effect.map((seen) => Array.ensure(seen).map(place(check))),
  )
}

/** What is said in place of a look that makes no sense after what was found before. */
export const skip = (checks: ReadonlyArray<Pick<Check, "group" | "name">>, because: string) =>
  checks.map((check) => place(check)(skipped(because)))
