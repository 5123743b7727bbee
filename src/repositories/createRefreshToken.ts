/**
 * The creation of refresh tokens.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../database/LockWaits.ts"
import { prepared } from "../database/prepared.ts"
import { spanned } from "../database/spanned.ts"
import { orNull } from "../domain/orNull.ts"
import { ExpiryNotInFuture, RefreshToken, RefreshTokenId } from "../domain/RefreshToken.ts"
import { Timestamp } from "../domain/Timestamp.ts"
import { StoredUserId, UserId, UserNotFound } from "../domain/User.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import { makeGroupCommit } from "./groupCommit.ts"
import { createOnce, insertion, insertionFields } from "./Idempotency.ts"
import { newId } from "./newId.ts"
import { refreshTokenColumns } from "./refreshTokenColumns.ts"
import { retryRead } from "./retryRead.ts"
import { withSavepoint } from "./savepoint.ts"

export interface CreateOptions {
  /** Becomes the token's id; the same call again gives the token as it is now. */
  readonly idempotencyKey?: RefreshTokenId | undefined
}

const Insertion = Schema.Struct({ ...RefreshToken.insert.fields, ...insertionFields })

export const makeCreateRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const columns = sql.literal(refreshTokenColumns)

  // The clock is read when the user's row is held: a token that had to wait for a revoke-all is
  // younger than the revocations, and one that has expired meanwhile is not stored. A user that does
  // not exist violates the foreign key.
  const insert = SqlSchema.findOneOption({
    Request: Insertion,
    Result: RefreshToken,
    execute: insertion(
      sql,
      (unlessKeyExists) =>
        bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
        WITH owner AS (
          SELECT id
          FROM public.users
          WHERE id = ${"userId"} AND ${lockTimeoutIs(sql, "lockTimeout")}
          FOR KEY SHARE
        )
        INSERT INTO public.refresh_tokens (
          id, user_id, token_hash, expires_at, created_at, user_agent, ip_address,
          idempotency_fingerprint
        )
        SELECT
          ${"id"}::uuid,
          user_id,
          ${"tokenHash"},
          ${"expiresAt"}::timestamptz,
          created_at,
          ${"userAgent"},
          ${"ipAddress"}::inet,
          ${"fingerprint"}::bytea
        FROM (
          SELECT user_id, clock_timestamp() AS created_at
          FROM (VALUES (${"userId"}::uuid)) AS wanted (user_id)
          LEFT JOIN owner ON owner.id = user_id
        ) AS held
        WHERE ${"expiresAt"}::timestamptz > created_at
        ${unlessKeyExists}
        RETURNING ${columns}`),
    ),
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
          WHERE id IN (SELECT "userId" FROM input) AND ${waitsBriefly(sql)}
          FOR KEY SHARE SKIP LOCKED
        )
        INSERT INTO public.refresh_tokens (
          id, user_id, token_hash, expires_at, created_at, user_agent, ip_address
        )
        SELECT
          input.id, owner.id, "tokenHash", "expiresAt", clock_timestamp(), "userAgent", "ipAddress"
        FROM input
        JOIN owner ON owner.id = "userId"
        WHERE "expiresAt" > clock_timestamp()
        ORDER BY "tokenHash"
        ON CONFLICT DO NOTHING
        RETURNING ${columns}`,
  })

  const findObstacles = SqlSchema.findOne({
    Request: Schema.Struct({
      key: orNull(RefreshTokenId),
      userId: UserId,
      expiresAt: Timestamp,
    }),
    Result: Schema.Struct({
      keyExists: Schema.Boolean,
      userExists: Schema.Boolean,
      isInFuture: Schema.Boolean,
    }),
    execute: ({ key, userId, expiresAt }) =>
      sql`
        SELECT
          EXISTS (SELECT FROM public.refresh_tokens WHERE id = ${key}::uuid) AS "keyExists",
          EXISTS (SELECT FROM public.users WHERE id = ${userId}) AS "userExists",
          ${expiresAt}::timestamptz > clock_timestamp() AS "isInFuture"`,
  })

  /**
   * Why a token was not stored: of several reasons the first, which need not be the one that the
   * statement ran into. Succeeds where there is none any more, or where a row has the key as its id.
   */
  const explain = Effect.fnUntraced(function* (
    { userId, expiresAt }: typeof RefreshToken.insert.Type,
    key: RefreshTokenId | null,
  ) {
    const obstacles = yield* findObstacles({ key, userId, expiresAt }).pipe(
      Effect.catchTag("NoSuchElementError", Effect.die),
      retryRead(sql),
      interpretErrors(),
    )
    if (obstacles.keyExists) return
    if (!obstacles.userExists) return yield* new UserNotFound()
    if (!obstacles.isInFuture) return yield* new ExpiryNotInFuture()
  })

  const insertOrExplain = Effect.fnUntraced(function* (
    token: typeof RefreshToken.insert.Type,
    key: RefreshTokenId | null,
    fingerprint: Uint8Array | null,
  ) {
    while (true) {
      const inserted = yield* insert({ ...token, id: key ?? newId(), fingerprint }).pipe(
        withSavepoint(sql),
        interpretErrors(refreshTokenConstraints),
        Effect.tapErrorTag("TokenHashTaken", () => explain(token, key)),
      )
      if (Option.isSome(inserted)) return inserted
      yield* explain(token, key)
      if (key !== null) return inserted
    }
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
      insert: (key, fingerprint) => insertOrExplain(token, key, fingerprint),
    })

  const createRow = yield* makeGroupCommit(sql, {
    name: "RefreshTokenRepository.create",
    alone: createAlone,
    together: (calls) => insertMany(calls.map(([id, token]) => ({ ...token, id }))),
    row: RefreshToken,
    keyedBy: "id",
    key: newId,
    lock: ({ userId }) => userId,
  })

  return spanned(
    "RefreshTokenRepository.create",
    (token: typeof RefreshToken.insert.Type, { idempotencyKey }: CreateOptions = {}) =>
      createRow(token, idempotencyKey),
  )
})
