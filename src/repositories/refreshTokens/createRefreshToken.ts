/**
 * The creation of refresh tokens.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import { ExpiryNotInFuture, RefreshToken, type RefreshTokenId } from "../../domain/RefreshToken.ts"
import { Timestamp } from "../../domain/Timestamp.ts"
import { StoredUserId, UserId, UserNotFound } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { insertionFields, makeCreate } from "../makeCreate.ts"
import { uuidV7 } from "../uuidV7.ts"
import { type RefreshTokensTable, refreshTokensTable } from "./refreshTokensTable.ts"

export interface CreateOptions {
  /** Becomes the token's id; the same call again gives the token as it is now. */
  readonly idempotencyKey?: RefreshTokenId | undefined
}

const Insertion = Schema.Struct({ ...RefreshToken.insert.fields, ...insertionFields })

type NewToken = typeof RefreshToken.insert.Type

/** The statements that store tokens. */
const makeInsert = (sql: SqlClient.SqlClient, refreshTokens: RefreshTokensTable) => {
  const row = refreshTokens.parameters({ userId: "held.user_id", createdAt: "held.created_at" })
  const rows = refreshTokens.records({ createdAt: "clock_timestamp()" })

  // The clock is read when the user's row is held: a token that had to wait for a revoke-all is
  // younger than the revocations, and one that has expired meanwhile is not stored. A user that does
  // not exist violates the foreign key.
  const insert = SqlSchema.findOneOption({
    Request: Insertion,
    Result: RefreshToken,
    execute: bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
      WITH owner AS (
        SELECT id
        FROM public.users
        WHERE id = ${"userId"} AND ${lockTimeoutIs(sql, "lockTimeout")}
        FOR KEY SHARE
      )
      INSERT INTO public.refresh_tokens (${row.names})
      SELECT ${row.values}
      FROM (
        SELECT user_id, clock_timestamp() AS created_at
        FROM (VALUES (${"userId"}::uuid)) AS wanted (user_id)
        LEFT JOIN owner ON owner.id = user_id
      ) AS held
      WHERE ${"expiresAt"}::timestamptz > held.created_at
      ON CONFLICT (id) DO NOTHING
      RETURNING ${refreshTokens.columns}`),
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
    execute: (json) =>
      sql`
        WITH input AS (
          SELECT * FROM ${refreshTokens.recordset(json)}
        ), owner AS (
          SELECT id
          FROM public.users
          WHERE id IN (SELECT "userId" FROM input) AND ${waitsBriefly(sql)}
          FOR KEY SHARE SKIP LOCKED
        )
        INSERT INTO public.refresh_tokens (${rows.names})
        SELECT ${rows.values}
        FROM input
        JOIN owner ON owner.id = input."userId"
        WHERE input."expiresAt" > clock_timestamp()
        ORDER BY input."tokenHash"
        ON CONFLICT DO NOTHING
        RETURNING ${refreshTokens.columns}`,
  })

  return { insert, insertMany }
}

/**
 * Makes a function that tells why a token was not stored: of several reasons the first, which need not be the one that the
 * statement ran into. Succeeds with whether a row has the id; without one there is no reason any more.
 */
const makeExplain = (sql: SqlClient.SqlClient) => {
  const findObstacles = SqlSchema.findOne({
    Request: Schema.Struct({ id: StoredUuid, userId: UserId, expiresAt: Timestamp }),
    Result: Schema.Struct({
      idExists: Schema.Boolean,
      userExists: Schema.Boolean,
      isInFuture: Schema.Boolean,
    }),
    execute: ({ id, userId, expiresAt }) =>
      sql`
        SELECT
          EXISTS (SELECT FROM public.refresh_tokens WHERE id = ${id}::uuid) AS "idExists",
          EXISTS (SELECT FROM public.users WHERE id = ${userId}) AS "userExists",
          ${expiresAt}::timestamptz > clock_timestamp() AS "isInFuture"`,
  })

  return Effect.fnUntraced(function* ({ userId, expiresAt }: NewToken, id: string) {
    const obstacles = yield* findObstacles({ id, userId, expiresAt }).pipe(
      Effect.catchTag("NoSuchElementError", Effect.die),
      retryRead(sql),
      interpretErrors(),
    )
    if (obstacles.idExists) return true
    if (!obstacles.userExists) return yield* new UserNotFound()
    if (!obstacles.isInFuture) return yield* new ExpiryNotInFuture()
    return false
  })
}

export const makeCreateRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const refreshTokens = refreshTokensTable(sql)
  const { insert, insertMany } = makeInsert(sql, refreshTokens)
  const explain = makeExplain(sql)

  const insertOrExplain = Effect.fnUntraced(function* (
    token: NewToken,
    id: string,
    fingerprint: Uint8Array | null,
  ) {
    while (true) {
      const inserted = yield* insert({ ...token, id, fingerprint }).pipe(
        withSavepointOrRetry(sql),
        interpretErrors(refreshTokenConstraints),
        Effect.tapErrorTag("TokenHashTaken", () => explain(token, id)),
      )
      if (Option.isSome(inserted) || (yield* explain(token, id))) return inserted
    }
  })

  const create = yield* makeCreate(sql, {
    name: "RefreshTokenRepository.create",
    table: refreshTokens,
    row: RefreshToken,
    operation: "create",
    values: RefreshToken.insert,
    newId: uuidV7,
    lock: ({ userId }) => userId,
    insert: insertOrExplain,
    insertMany: (calls) => insertMany(calls.map(([id, token]) => ({ ...token, id }))),
  })

  return traced(
    "RefreshTokenRepository.create",
    (token: NewToken, { idempotencyKey }: CreateOptions = {}) => create(token, idempotencyKey),
  )
})
