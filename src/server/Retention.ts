/**
 * A clean-up on a schedule, inside the service.
 */
import { type Duration, Effect, Layer, Schedule } from "effect"
import { Maintenance } from "./Maintenance.ts"

export interface RetentionOptions {
  /** The time between two runs, give or take a fifth, so that replicas don't run in step. */
  readonly interval: Duration.Duration
  /** Days of 24 hours since a token expired. */
  readonly tokenDays: number
  /** Days of 24 hours since an attempt. */
  readonly attemptDays: number
}

/** Every replica may have it: only one deletes at a time, and the others find nothing left. */
export const layer = ({ interval, tokenDays, attemptDays }: RetentionOptions) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { deleteExpiredTokens, deleteOldLoginAttempts } = yield* Maintenance
      const run = Effect.gen(function* () {
        const deletedTokens = yield* deleteExpiredTokens(tokenDays, { exclusively: true })
        const deletedAttempts = yield* deleteOldLoginAttempts(attemptDays, { exclusively: true })
        if (deletedTokens + deletedAttempts > 0) {
          yield* Effect.logInfo("Deleted what was past its retention", {
            deletedTokens,
            deletedAttempts,
          })
        }
      }).pipe(
        Effect.catchTag(
          "DatabaseUnavailable",
          () => Effect.logWarning("Retention was put off: the database is unavailable"),
        ),
      )
      yield* run.pipe(
        Effect.schedule(Schedule.spaced(interval).pipe(Schedule.jittered)),
        Effect.forkScoped,
      )
    }),
  )
