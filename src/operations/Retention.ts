/**
 * A clean-up on a schedule, inside the service.
 */
import { Data, Duration, Effect, Layer, Metric, Random, Schedule } from "effect"
import { reasonOf } from "../background/ChangeLog.ts"
import { runPeriodically } from "../background/runPeriodically.ts"
import { Maintenance } from "./Maintenance.ts"

export interface RetentionOptions {
  /** The time between two runs, give or take a fifth, so that replicas don't run in step. */
  readonly interval: Duration.Duration
  /** Days of 24 hours since a token expired. */
  readonly tokenDays: number
  /** Days of 24 hours since an attempt. */
  readonly attemptDays: number
}

const deletedRows = Metric.counter("retention_deleted_rows_total", {
  description: "Rows that scheduled clean-ups have deleted",
  incremental: true,
})

class RetentionFailed extends Data.TaggedError("RetentionFailed")<{ readonly message: string }> {}

/**
 * The first run comes within this time after the start: a service that is deployed more often than
 * its interval lasts would otherwise never clean up. At random, as the intervals are.
 */
const firstWithin = Duration.minutes(1)

/** What a deletion came to: rows, or why it failed. */
const attempt = <E, R>(
  { table, what }: { readonly table: string; readonly what: string },
  deletion: Effect.Effect<number, E, R>,
) =>
  Effect.matchCauseEffect(deletion, {
    onSuccess: (deleted) =>
      Effect.as(Metric.update(Metric.withAttributes(deletedRows, { table }), deleted), {
        deleted,
        problems: [],
      }),
    onFailure: (cause) =>
      Effect.as(Effect.logDebug(`Deleting ${what} failed`, cause), {
        deleted: 0,
        problems: [`${what}: ${reasonOf(cause)}`],
      }),
  })

/** Every replica may have it: only one deletes at a time, and the others find nothing left. */
export const layer = ({ interval, tokenDays, attemptDays }: RetentionOptions) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { deleteExpiredTokens, deleteOldLoginAttempts } = yield* Maintenance
      const run = Effect.gen(function* () {
        const tokens = yield* attempt(
          { table: "refresh_tokens", what: "expired refresh tokens" },
          deleteExpiredTokens(tokenDays, { exclusively: true }),
        )
        // Also where the first failed: one table that cannot be cleaned must not fill the other.
        const attempts = yield* attempt(
          { table: "login_attempts", what: "old login attempts" },
          deleteOldLoginAttempts(attemptDays, { exclusively: true }),
        )
        if (tokens.deleted + attempts.deleted > 0) {
          yield* Effect.logInfo("Retention: deleted expired rows").pipe(
            Effect.annotateLogs({
              deletedTokens: tokens.deleted,
              deletedAttempts: attempts.deleted,
            }),
          )
        }
        const problems = [...tokens.problems, ...attempts.problems]
        if (problems.length > 0) return yield* new RetentionFailed({ message: problems.join("; ") })
      })
      const firstAfter = Duration.times(
        Duration.min(firstWithin, interval),
        yield* Random.next,
      )
      yield* runPeriodically({
        name: "retention",
        failing: "Retention run failed",
        recovered: "Retention runs succeed again",
        run,
        firstAfter,
        schedule: Schedule.jittered(Schedule.spaced(interval)),
      })
    }),
  )
