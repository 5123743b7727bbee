/**
 * Attempts to sign in, in PostgreSQL, and the counters that lock-outs are decided by.
 */
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { traced } from "../../database/traced.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import type { LoginAttempt } from "../../domain/LoginAttempt.ts"
import type { UserId, UserNotFound } from "../../domain/User.ts"
import { type CleanUpOptions, deleteInBatches } from "../deleteInBatches.ts"
import { makeFailureCounters, type Origin } from "./countLoginFailures.ts"
import { type CreateLoginAttemptOptions, makeCreateLoginAttempt } from "./createLoginAttempt.ts"

export class LoginAttemptRepository extends Context.Service<LoginAttemptRepository, {
  readonly create: (
    attempt: typeof LoginAttempt.insert.Type,
    options?: CreateLoginAttemptOptions,
  ) => Effect.Effect<LoginAttempt, UserNotFound | IdempotencyKeyReused | DatabaseUnavailable>
  /** The user's failed attempts of the last minutes. */
  readonly countRecentFailures: (
    userId: UserId,
    minutes?: number,
  ) => Effect.Effect<number, UserNotFound | DatabaseUnavailable>
  /** The failed attempts of the last minutes by origin, also those of users deleted since. */
  readonly countRecentFailuresFrom: (
    origin: Origin,
    minutes?: number,
  ) => Effect.Effect<number, DatabaseUnavailable>
  /** Deletes attempts of this many days (of 24 h) ago and tells how many. */
  readonly deleteOld: (
    olderThanDays?: number,
    options?: CleanUpOptions,
  ) => Effect.Effect<number, DatabaseUnavailable>
}>()("latchkey/repositories/LoginAttemptRepository") {
  static readonly layer = Layer.effect(
    LoginAttemptRepository,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { countByUser, countByOrigin } = yield* makeFailureCounters(sql)

      const deleteOld = (olderThanDays: number = 90, options: CleanUpOptions = {}) =>
        deleteInBatches(sql, {
          table: "login_attempts",
          column: "attempted_at",
          olderThanDays,
          ...options,
        }).pipe(interpretErrors())

      return LoginAttemptRepository.of({
        create: yield* makeCreateLoginAttempt(sql),
        countRecentFailures: traced(
          "LoginAttemptRepository.countRecentFailures",
          (userId, minutes = 15) => countByUser({ userId, minutes }),
        ),
        countRecentFailuresFrom: traced(
          "LoginAttemptRepository.countRecentFailuresFrom",
          (origin, minutes = 15) => countByOrigin(origin, minutes),
        ),
        deleteOld: traced("LoginAttemptRepository.deleteOld", deleteOld),
      })
    }),
  )
}
