/**
 * The creation of user accounts.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, userConstraints } from "../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../database/LockWaits.ts"
import { prepared } from "../database/prepared.ts"
import { spanned } from "../database/spanned.ts"
import { User, type UserId } from "../domain/User.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import { makeGroupCommit } from "./groupCommit.ts"
import { createOnce, insertion, insertionFields } from "./Idempotency.ts"
import type { PreferEmailTaken } from "./preferEmailTaken.ts"
import { withSavepoint } from "./savepoint.ts"
import { userColumns } from "./userColumns.ts"

export interface CreateUserOptions {
  /** Becomes the user's id; the same call again gives the user as it is now. */
  readonly idempotencyKey?: UserId | undefined
}

const Insertion = Schema.Struct({ ...User.insert.fields, ...insertionFields })

export const makeCreateUser = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  preferEmailTaken: PreferEmailTaken,
) {
  const columns = sql.literal(userColumns)

  const insert = SqlSchema.findOneOption({
    Request: Insertion,
    Result: User,
    execute: insertion(
      sql,
      (unlessKeyExists) =>
        bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
        INSERT INTO public.users (
          id, email, full_name, password_hash, auth_provider, google_id, is_active,
          idempotency_fingerprint
        )
        SELECT
          ${"id"}::uuid,
          ${"email"},
          ${"fullName"},
          ${"passwordHash"},
          ${"authProvider"}::public.auth_provider_enum,
          ${"googleId"},
          ${"isActive"}::boolean,
          ${"fingerprint"}::bytea
        WHERE ${lockTimeoutIs(sql, "lockTimeout")}
        ${unlessKeyExists}
        RETURNING ${columns}`),
    ),
  })

  // Sorted, so that two services that add the same addresses don't wait for each other.
  const insertMany = SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(Schema.Struct({ ...User.insert.fields, id: StoredUuid })),
    ),
    Result: Schema.Unknown,
    execute: (users) =>
      sql`
        INSERT INTO public.users (
          id, email, full_name, password_hash, auth_provider, google_id, is_active
        )
        SELECT
          id, email, "fullName", "passwordHash", "authProvider", "googleId", "isActive"
        FROM json_to_recordset(${users}::json) AS input (
          id uuid,
          email text,
          "fullName" text,
          "passwordHash" text,
          "authProvider" public.auth_provider_enum,
          "googleId" text,
          "isActive" boolean
        )
        WHERE ${waitsBriefly(sql)}
        ORDER BY lower(email COLLATE "C")
        ON CONFLICT DO NOTHING
        RETURNING ${columns}`,
  })

  const createAlone = (user: typeof User.insert.Type, idempotencyKey?: UserId) =>
    createOnce(sql, {
      table: "users",
      columns,
      row: User,
      operation: "create",
      key: idempotencyKey,
      schema: User.insert,
      values: user,
      insert: (key, fingerprint) =>
        preferEmailTaken(
          insert({ ...user, id: key ?? crypto.randomUUID(), fingerprint }).pipe(
            withSavepoint(sql),
            interpretErrors(userConstraints),
          ),
          user.email,
          key,
        ),
    })

  const createRow = yield* makeGroupCommit(sql, {
    name: "UserRepository.create",
    alone: createAlone,
    together: (calls) => insertMany(calls.map(([id, user]) => ({ ...user, id }))),
    row: User,
    keyedBy: "id",
    lock: ({ email }) => email,
  })

  return spanned(
    "UserRepository.create",
    (user: typeof User.insert.Type, { idempotencyKey }: CreateUserOptions = {}) =>
      createRow(user, idempotencyKey),
  )
})
