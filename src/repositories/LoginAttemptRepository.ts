/**
 * Attempts to sign in, in PostgreSQL, and the counters that lock-outs are decided by.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, loginAttemptConstraints } from "../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs } from "../database/LockWaits.ts"
import { prepared } from "../database/prepared.ts"
import { spanned } from "../database/spanned.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import { LoginAttempt, type LoginAttemptId } from "../domain/LoginAttempt.ts"
import { orNull } from "../domain/orNull.ts"
import { StoredUserId, type UserId, type UserNotFound } from "../domain/User.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import { makeFailureCounters, type Origin } from "./countFailures.ts"
import { type CleanUpOptions, deleteInBatches } from "./deleteInBatches.ts"
import { makeGroupCommit } from "./groupCommit.ts"
import { createOnce, insertion, insertionFields } from "./Idempotency.ts"
import { newId } from "./newId.ts"
import { withSavepoint } from "./savepoint.ts"

const Insertion = Schema.Struct({ ...LoginAttempt.insert.fields, ...insertionFields })

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
        abbrev(ip_address) AS "ipAddress",
        user_agent AS "userAgent",
        success,
        failure_reason AS "failureReason",
        attempted_at AS "attemptedAt"`)

      const insert = SqlSchema.findOneOption({
        Request: Insertion,
        Result: LoginAttempt,
        execute: insertion(
          sql,
          (unlessKeyExists) =>
            bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
            INSERT INTO public.login_attempts (
              id, user_id, email, ip_address, user_agent, success, failure_reason,
              idempotency_fingerprint
            )
            SELECT
              ${"id"}::uuid,
              ${"userId"}::uuid,
              ${"email"},
              ${"ipAddress"}::inet,
              ${"userAgent"},
              ${"success"}::boolean,
              ${"failureReason"},
              ${"fingerprint"}::bytea
            WHERE ${lockTimeoutIs(sql, "lockTimeout")}
            ${unlessKeyExists}
            RETURNING ${columns}`),
        ),
      })

      // Only for users whom nobody is about to delete or lock; the others have to wait for that.
      const insertMany = SqlSchema.findAll({
        Request: Schema.fromJsonString(
          Schema.Array(
            Schema.Struct({
              ...LoginAttempt.insert.fields,
              id: StoredUuid,
              userId: orNull(StoredUserId),
            }),
          ),
        ),
        Result: Schema.Unknown,
        execute: (attempts) =>
          sql`
            WITH input AS (
              SELECT *
              FROM json_to_recordset(${attempts}::json) AS input (
                "id" uuid,
                "userId" uuid,
                "email" text,
                "ipAddress" inet,
                "userAgent" text,
                "success" boolean,
                "failureReason" text
              )
            ), owner AS (
              SELECT id
              FROM public.users
              WHERE id IN (SELECT "userId" FROM input)
              FOR KEY SHARE SKIP LOCKED
            )
            INSERT INTO public.login_attempts (
              id, user_id, email, ip_address, user_agent, success, failure_reason
            )
            SELECT
              input.id, "userId", email, "ipAddress", "userAgent", success, "failureReason"
            FROM input
            LEFT JOIN owner ON owner.id = "userId"
            WHERE "userId" IS NULL OR owner.id IS NOT NULL
            RETURNING ${columns}`,
      })

      const createAlone = (
        attempt: typeof LoginAttempt.insert.Type,
        idempotencyKey?: LoginAttemptId,
      ) =>
        createOnce(sql, {
          table: "login_attempts",
          columns,
          row: LoginAttempt,
          operation: "create",
          key: idempotencyKey,
          schema: LoginAttempt.insert,
          values: attempt,
          insert: (key, fingerprint) =>
            insert({ ...attempt, id: key ?? newId(), fingerprint }).pipe(
              withSavepoint(sql),
              interpretErrors(loginAttemptConstraints),
            ),
        })

      const createRow = yield* makeGroupCommit(sql, {
        name: "LoginAttemptRepository.create",
        alone: createAlone,
        together: (calls) =>
          insertMany(
            calls.map(([id, attempt]) => ({ ...attempt, id })),
          ),
        row: LoginAttempt,
        keyedBy: "id",
        key: newId,
        lock: ({ userId, email }) => userId ?? email,
      })

      const create = spanned(
        "LoginAttemptRepository.create",
        (
          attempt: typeof LoginAttempt.insert.Type,
          { idempotencyKey }: { readonly idempotencyKey?: LoginAttemptId | undefined } = {},
        ) => createRow(attempt, idempotencyKey),
      )

      const { countByUser, countByOrigin } = yield* makeFailureCounters(sql)

      const deleteOld = (olderThanDays: number = 90, options: CleanUpOptions = {}) =>
        deleteInBatches(sql, {
          table: "login_attempts",
          column: "attempted_at",
          olderThanDays,
          ...options,
        }).pipe(interpretErrors())

      return LoginAttemptRepository.of({
        create,
        countRecentFailures: spanned(
          "LoginAttemptRepository.countRecentFailures",
          (userId, minutes = 15) => countByUser({ userId, minutes }),
        ),
        countRecentFailuresFrom: spanned(
          "LoginAttemptRepository.countRecentFailuresFrom",
          (origin, minutes = 15) => countByOrigin(origin, minutes),
        ),
        deleteOld: spanned("LoginAttemptRepository.deleteOld", deleteOld),
      })
    }),
  )
}
