/**
 * The recording of attempts to sign in.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, loginAttemptConstraints } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { withSavepointOrRetry } from "../../database/transactions.ts"
import { LoginAttempt, type LoginAttemptId } from "../../domain/LoginAttempt.ts"
import { StoredUserId } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { nullable } from "../../schema/nullable.ts"
import { insertionFields, makeCreate } from "../makeCreate.ts"
import { uuidV7 } from "../uuidV7.ts"
import { loginAttemptsTable } from "./loginAttemptsTable.ts"

export interface CreateLoginAttemptOptions {
  /** Becomes the attempt's id; the same call again gives the attempt that was recorded. */
  readonly idempotencyKey?: LoginAttemptId | undefined
}

const Insertion = Schema.Struct({ ...LoginAttempt.insert.fields, ...insertionFields })

export const makeCreateLoginAttempt = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const loginAttempts = loginAttemptsTable(sql)
  const row = loginAttempts.parameters()
  const rows = loginAttempts.records()

  const insert = SqlSchema.findOneOption({
    Request: Insertion,
    Result: LoginAttempt,
    execute: bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
      INSERT INTO public.login_attempts (${row.names})
      SELECT ${row.values}
      WHERE ${lockTimeoutIs(sql, "lockTimeout")}
      ON CONFLICT (id) DO NOTHING
      RETURNING ${loginAttempts.columns}`),
  })

  // Only for users whom nobody is about to delete or lock; the others have to wait for that.
  const insertMany = SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(
        Schema.Struct({
          ...LoginAttempt.insert.fields,
          id: StoredUuid,
          userId: nullable(StoredUserId),
        }),
      ),
    ),
    Result: Schema.Unknown,
    execute: (json) =>
      sql`
        WITH input AS (
          SELECT * FROM ${loginAttempts.recordset(json)}
        ), owner AS (
          SELECT id
          FROM public.users
          WHERE id IN (SELECT "userId" FROM input)
          FOR KEY SHARE SKIP LOCKED
        )
        INSERT INTO public.login_attempts (${rows.names})
        SELECT ${rows.values}
        FROM input
        LEFT JOIN owner ON owner.id = input."userId"
        WHERE input."userId" IS NULL OR owner.id IS NOT NULL
        RETURNING ${loginAttempts.columns}`,
  })

  const create = yield* makeCreate(sql, {
    name: "LoginAttemptRepository.create",
    table: loginAttempts,
    row: LoginAttempt,
    operation: "create",
    values: LoginAttempt.insert,
    added: new Set(),
    newId: uuidV7,
    lock: ({ userId, email }) => userId ?? email,
    insert: (attempt, id, fingerprint) =>
      insert({ ...attempt, id, fingerprint }).pipe(
        withSavepointOrRetry(sql),
        interpretErrors(loginAttemptConstraints),
      ),
    insertMany: (calls) => insertMany(calls.map(([id, attempt]) => ({ ...attempt, id }))),
  })

  return traced(
    "LoginAttemptRepository.create",
    (
      attempt: typeof LoginAttempt.insert.Type,
      { idempotencyKey }: CreateLoginAttemptOptions = {},
    ) => create(attempt, idempotencyKey),
  )
})
