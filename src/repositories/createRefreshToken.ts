/**
 * The creation of refresh tokens.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../database/Constraints.ts"
import { prepared } from "../database/prepared.ts"
import { spanned } from "../database/spanned.ts"
import { RefreshToken, type RefreshTokenId } from "../domain/RefreshToken.ts"
import { StoredUserId } from "../domain/User.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import { makeGroupCommit } from "./groupCommit.ts"
import { createOnce, insertion, insertionFields } from "./Idempotency.ts"
import { newId } from "./newId.ts"
import { refreshTokenColumns } from "./refreshTokenColumns.ts"
import { withSavepoint } from "./savepoint.ts"

export interface CreateOptions {
  /** Becomes the token's id; the same call again gives the token as it is now. */
  readonly idempotencyKey?: RefreshTokenId | undefined
}

const Insertion = Schema.Struct({ ...RefreshToken.insert.fields, ...insertionFields })

export const makeCreateRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const columns = sql.literal(refreshTokenColumns)

  // The clock is read when the user's row is held: a token that had to wait for a revoke-all is
  // younger than the revocations. A user that does not exist violates the foreign key.
  const insert = SqlSchema.findOneOption({
    Request: Insertion,
    Result: RefreshToken,
    execute: insertion(sql, (unlessKeyExists) =>
      prepared<typeof Insertion.Encoded>(sql)`
        WITH owner AS (
          SELECT id FROM public.users WHERE id = ${"userId"} FOR KEY SHARE
        )
        INSERT INTO public.refresh_tokens (
          id, user_id, token_hash, expires_at, created_at, user_agent, ip_address,
          idempotency_fingerprint
        )
        SELECT
          ${"id"}::uuid,
          wanted.user_id,
          ${"tokenHash"},
          ${"expiresAt"}::timestamptz,
          clock_timestamp(),
          ${"userAgent"},
          ${"ipAddress"}::inet,
          ${"fingerprint"}::bytea
        FROM (VALUES (${"userId"}::uuid)) AS wanted (user_id)
        LEFT JOIN owner ON owner.id = wanted.user_id
        ${unlessKeyExists}
        RETURNING ${columns}`),
  })

  const insertMany = SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(
        Schema.Struct({
          ...RefreshToken.insert.fields,
          id: StoredUuid,
          userId: StoredUserId,
        }),
      ),
    ),
    Result: Schema.Unknown,
    execute: (tokens) =>
      sql`
        WITH input AS (
          SELECT *
          FROM json_to_recordset(${tokens}::json) AS input (
            "id" uuid,
            "userId" uuid,
            "tokenHash" text,
            "expiresAt" timestamptz,
            "userAgent" text,
            "ipAddress" inet
          )
        ), owner AS (
          SELECT id
          FROM public.users
          WHERE id IN (SELECT "userId" FROM input)
          FOR KEY SHARE SKIP LOCKED
        )
        INSERT INTO public.refresh_tokens (
          id, user_id, token_hash, expires_at, created_at, user_agent, ip_address
        )
        SELECT
          input.id, owner.id, "tokenHash", "expiresAt", clock_timestamp(), "userAgent", "ipAddress"
        FROM input
        JOIN owner ON owner.id = "userId"
        ORDER BY "tokenHash"
        ON CONFLICT DO NOTHING
        RETURNING ${columns}`,
  })

  const createAlone = (
    token: typeof RefreshToken.insert.Type,
    idempotencyKey?: RefreshTokenId,
  ) =>
    createOnce(sql, {
      table: "refresh_tokens",
      columns,
      row: RefreshToken,
      operation: "create",
      key: idempotencyKey,
      schema: RefreshToken.insert,
      values: token,
      insert: (key, fingerprint) =>
        insert({ ...token, id: key ?? newId(), fingerprint }).pipe(
          withSavepoint(sql),
          interpretErrors(refreshTokenConstraints),
        ),
    })

  const createRow = yield* makeGroupCommit(sql, {
    name: "RefreshTokenRepository.create",
    alone: createAlone,
    together: (calls) => insertMany(calls.map(([id, token]) => ({ ...token, id }))),
    row: RefreshToken,
    keyedBy: "id",
    key: newId,
  })

  return spanned(
    "RefreshTokenRepository.create",
    (token: typeof RefreshToken.insert.Type, { idempotencyKey }: CreateOptions = {}) =>
      createRow(token, idempotencyKey),
  )
})
