/**
 * Attempts to sign in, in PostgreSQL, and the counters that lock-outs are decided by.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, loginAttemptConstraints } from "../database/Constraints.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import { Email } from "../domain/Email.ts"
import type { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import type { IpAddress } from "../domain/IpAddress.ts"
import { LoginAttempt, LoginAttemptId } from "../domain/LoginAttempt.ts"
import { UserId, UserNotFound } from "../domain/User.ts"
import { type CleanUpOptions, deleteInBatches } from "./deleteInBatches.ts"
import { createOnce } from "./Idempotency.ts"
import { withSavepoint } from "./savepoint.ts"

/** Whose failures are counted: those with this address, from this host, or both at once. */
export type Origin =
  | { readonly email: Email; readonly ipAddress?: IpAddress | undefined }
  | { readonly email?: undefined; readonly ipAddress: IpAddress }

const Count = Schema.Struct({ count: Schema.Number })

export class LoginAttemptRepository extends Context.Service<LoginAttemptRepository, {
  readonly create: (
    attempt: typeof LoginAttempt.insert.Type,
    options?: { readonly idempotencyKey?: LoginAttemptId | undefined },
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

      const columns = sql.literal(`
        id,
        user_id AS "userId",
        email,
        ip_address AS "ipAddress",
        user_agent AS "userAgent",
        success,
        failure_reason AS "failureReason",
        attempted_at AS "attemptedAt"`)

      const insert = SqlSchema.findOneOption({
        Request: Schema.Struct({
          attempt: LoginAttempt.insert,
          key: Schema.NullOr(LoginAttemptId),
          fingerprint: Schema.NullOr(Schema.Uint8Array),
        }),
        Result: LoginAttempt,
        execute: ({ attempt, key, fingerprint }) =>
          sql`
            INSERT INTO login_attempts (
              id, user_id, email, ip_address, user_agent, success, failure_reason,
              idempotency_fingerprint
            )
            VALUES (
              COALESCE(${key}::uuid, gen_random_uuid()),
              ${attempt.userId},
              ${attempt.email},
              ${attempt.ipAddress},
              ${attempt.userAgent},
              ${attempt.success},
              ${attempt.failureReason},
              ${fingerprint}
            )
            ON CONFLICT (id) DO NOTHING
            RETURNING ${columns}`,
      })

      const findById = SqlSchema.findOneOption({
        Request: LoginAttemptId,
        Result: LoginAttempt,
        execute: (id) => sql`SELECT ${columns} FROM login_attempts WHERE id = ${id}`,
      })

      // Both ends of the window are rounded as attempted_at was when it was stored.
      const isRecentFailure = (minutes: number) =>
        sql`
          NOT success
          AND attempted_at >= (now() - make_interval(mins => ${minutes}::int))::timestamptz(3)
          AND attempted_at <= now()::timestamptz(3)`

      const countByUser = SqlSchema.findOneOption({
        Request: Schema.Struct({ userId: UserId, minutes: Schema.Number }),
        Result: Count,
        execute: ({ userId, minutes }) =>
          sql`
            SELECT (
              SELECT count(*)::int
              FROM login_attempts
              WHERE user_id = users.id AND ${isRecentFailure(minutes)}
            ) AS count
            FROM users
            WHERE id = ${userId}`,
      })

      const countByOrigin = SqlSchema.findOne({
        Request: Schema.Struct({
          email: Schema.NullOr(Email),
          ipAddress: Schema.NullOr(Schema.String),
          minutes: Schema.Number,
        }),
        Result: Count,
        execute: ({ email, ipAddress, minutes }) =>
          sql`
            SELECT count(*)::int AS count
            FROM login_attempts
            WHERE ${
            sql.and([
              ...(email === null ? [] : [sql`lower(email) = lower(${email} COLLATE "C")`]),
              ...(ipAddress === null ? [] : [sql`ip_address = ${ipAddress}::inet`]),
              isRecentFailure(minutes),
            ])
          }`,
      })

      const create = Effect.fn("LoginAttemptRepository.create")(function* (
        attempt: typeof LoginAttempt.insert.Type,
        options?: { readonly idempotencyKey?: LoginAttemptId | undefined },
      ) {
        const key = options?.idempotencyKey ?? null
        return yield* createOnce(sql, {
          table: "login_attempts",
          operation: "create",
          key: options?.idempotencyKey,
          schema: LoginAttempt.insert,
          values: attempt,
          insert: (fingerprint) =>
            insert({ attempt, key, fingerprint }).pipe(
              withSavepoint(sql),
              interpretErrors(loginAttemptConstraints),
            ),
          find: key === null ? Effect.succeedNone : findById(key).pipe(interpretErrors()),
        })
      })

      const countRecentFailures = Effect.fn("LoginAttemptRepository.countRecentFailures")(
        function* (userId: UserId, minutes: number = 15) {
          const counted = yield* countByUser({ userId, minutes }).pipe(interpretErrors())
          return Option.isSome(counted) ? counted.value.count : yield* new UserNotFound()
        },
      )

      const countRecentFailuresFrom = Effect.fn("LoginAttemptRepository.countRecentFailuresFrom")(
        function* (origin: Origin, minutes: number = 15) {
          const { count } = yield* countByOrigin({
            email: origin.email ?? null,
            ipAddress: origin.ipAddress ?? null,
            minutes,
          }).pipe(Effect.catchTag("NoSuchElementError", Effect.die), interpretErrors())
          return count
        },
      )

      const deleteOld = Effect.fn("LoginAttemptRepository.deleteOld")(
        (olderThanDays: number = 90, options: CleanUpOptions = {}) =>
          deleteInBatches(sql, {
            table: "login_attempts",
            column: "attempted_at",
            olderThanDays,
            ...options,
          }),
        interpretErrors(),
      )

      return LoginAttemptRepository.of({
        create,
        countRecentFailures,
        countRecentFailuresFrom,
        deleteOld,
      })
    }),
  )
}
