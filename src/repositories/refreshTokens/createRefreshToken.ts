/**
 * The creation of refresh tokens, each of which begins a session.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { inTransaction, retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import {
  ExpiryNotInFuture,
  NewRefreshToken,
  RefreshToken,
  type RefreshTokenId,
  type TokenToCreate,
} from "../../domain/RefreshToken.ts"
import { SessionId, SessionLimitReached, UserInactive } from "../../domain/Session.ts"
import { Timestamp } from "../../domain/Timestamp.ts"
import { StoredUserId, UserId, UserNotFound, Version, VersionMismatch } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { nullable } from "../../schema/nullable.ts"
import { makeLockUser } from "../lockUser.ts"
import { insertionFields, makeCreate } from "../makeCreate.ts"
import { makeRevokeLiveTokens } from "../revokeLiveTokens.ts"
import { uuidV7 } from "../uuidV7.ts"
import { type RefreshTokensTable, refreshTokensTable } from "./refreshTokensTable.ts"

export interface CreateOptions {
  /** Becomes the token's id; the same call again gives the token as it is now. */
  readonly idempotencyKey?: RefreshTokenId | undefined
}

const unconditional = { userVersion: null, maxSessions: null, onLimit: null }

const Insertion = Schema.Struct({ ...NewRefreshToken.fields, ...insertionFields })

/** No token outlives its session. */
export const cutExpiry =
  (sql: SqlClient.SqlClient) =>
  (given: Readonly<Record<"expiresAt" | "sessionExpiresAt", Statement.Fragment>>) =>
    sql`LEAST(${given.expiresAt}, ${given.sessionExpiresAt})`

/** Makes the statement that stores a token. */
const makeInsert = (sql: SqlClient.SqlClient, refreshTokens: RefreshTokensTable) => {
  const row = refreshTokens.parameters({
    expiresAt: cutExpiry(sql),
    userId: "held.user_id",
    createdAt: "held.created_at",
  })

  // The clock is read when the user's row is held: a token that had to wait for a revoke-all is
  // younger than the revocations, and one that has expired meanwhile is not stored. A user that does
  // not exist violates the foreign key.
  return SqlSchema.findOneOption({
    Request: Insertion,
    Result: RefreshToken,
    execute: bounded(prepared<typeof Insertion.Encoded & Bound>(sql)`
      WITH owner AS (
        SELECT id, is_active, version
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
        WHERE
          owner.id IS NULL
          OR owner.is_active AND owner.version::text = COALESCE(${"userVersion"}, owner.version::text)
      ) AS held
      WHERE
        ${"expiresAt"}::timestamptz > held.created_at
        AND COALESCE(${"sessionExpiresAt"}::timestamptz > held.created_at, true)
      ON CONFLICT (id) DO NOTHING
      RETURNING ${refreshTokens.columns}`),
  })
}

/** Makes the statement that stores the tokens of a group. */
const makeInsertMany = (sql: SqlClient.SqlClient, refreshTokens: RefreshTokensTable) => {
  const rows = refreshTokens.records({
    expiresAt: cutExpiry(sql),
    createdAt: "clock_timestamp()",
  })

  return SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(
        Schema.Struct({
          ...RefreshToken.insert.fields,
          userVersion: nullable(Version),
          id: StoredUuid,
          userId: StoredUserId,
        }),
      ),
    ),
    Result: Schema.Unknown,
    execute: (json) =>
      sql`
        WITH input AS (
          SELECT * FROM ${refreshTokens.recordset(json, { userVersion: "text" })}
        ), owner AS (
          SELECT id, version
          FROM public.users
          WHERE
            id IN (SELECT "userId" FROM input)
            AND is_active
            AND ${waitsBriefly(sql)}
          FOR KEY SHARE SKIP LOCKED
        )
        INSERT INTO public.refresh_tokens (${rows.names})
        SELECT ${rows.values}
        FROM input
        JOIN owner ON owner.id = input."userId"
        WHERE
          input."expiresAt" > clock_timestamp()
          AND COALESCE(input."sessionExpiresAt" > clock_timestamp(), true)
          AND owner.version::text = COALESCE(input."userVersion", owner.version::text)
        ORDER BY input."tokenHash"
        ON CONFLICT DO NOTHING
        RETURNING ${refreshTokens.columns}`,
  })
}

/**
 * Makes a function that tells why a token was not stored: of several reasons the first, which need not
 * be the one that the statement ran into. Succeeds with whether a row has the id; without one there is
 * no reason any more.
 */
const makeExplain = (sql: SqlClient.SqlClient) => {
  const findObstacles = SqlSchema.findOne({
    Request: Schema.Struct({
      id: StoredUuid,
      userId: UserId,
      userVersion: nullable(Version),
      expiresAt: Timestamp,
      sessionExpiresAt: nullable(Timestamp),
    }),
    Result: Schema.Struct({
      idExists: Schema.Boolean,
      isActive: nullable(Schema.Boolean),
      isInVersion: nullable(Schema.Boolean),
      endsInFuture: Schema.Boolean,
      sessionEndsInFuture: Schema.Boolean,
    }),
    execute: ({ id, userId, userVersion, expiresAt, sessionExpiresAt }) =>
      sql`
        SELECT
          EXISTS (SELECT FROM public.refresh_tokens WHERE id = ${id}::uuid) AS "idExists",
          owner.is_active AS "isActive",
          owner.version::text = COALESCE(${userVersion}, owner.version::text) AS "isInVersion",
          ${expiresAt}::timestamptz > clock_timestamp() AS "endsInFuture",
          COALESCE(${sessionExpiresAt}::timestamptz > clock_timestamp(), true)
            AS "sessionEndsInFuture"
        FROM (VALUES (${userId}::uuid)) AS wanted (user_id)
        LEFT JOIN public.users AS owner ON owner.id = user_id`,
  })

  return Effect.fnUntraced(function* (token: NewRefreshToken, id: string) {
    const obstacles = yield* findObstacles({ ...token, id }).pipe(
      Effect.catchTag("NoSuchElementError", Effect.die),
      retryRead(sql),
      interpretErrors(),
    )
    if (obstacles.idExists) return true
    if (obstacles.isActive === null) return yield* new UserNotFound()
    if (!obstacles.isActive) return yield* new UserInactive({})
    if (!obstacles.isInVersion) return yield* new VersionMismatch()
    if (!obstacles.endsInFuture) return yield* new ExpiryNotInFuture({ property: "expiresAt" })
    if (!obstacles.sessionEndsInFuture) {
      return yield* new ExpiryNotInFuture({ property: "sessionExpiresAt" })
    }
    return false
  })
}

/** Makes a function that holds a user to so many live sessions, beside that of a token just stored. */
const makeEnforceLimit = (sql: SqlClient.SqlClient) => {
  const revokeLiveTokens = makeRevokeLiveTokens(sql)

  const findExcess = SqlSchema.findAll({
    Request: Schema.Struct({ userId: UserId, newest: StoredUuid, others: Schema.Number }),
    Result: Schema.Struct({ id: SessionId }),
    execute: ({ userId, newest, others }) =>
      sql`
        SELECT COALESCE(session_id, id) AS id
        FROM public.refresh_tokens
        WHERE
          user_id = ${userId}
          AND revoked_at IS NULL
          AND expires_at > statement_timestamp()
          AND refresh_tokens.id <> ${newest}::uuid
        GROUP BY COALESCE(session_id, refresh_tokens.id)
        ORDER BY
          min(COALESCE(signed_in_at, created_at)) DESC,
          COALESCE(session_id, refresh_tokens.id) DESC
        OFFSET ${others}`,
  })

  return Effect.fnUntraced(function* (
    { userId, onLimit }: NewRefreshToken,
    maxSessions: number,
    newest: string,
  ) {
    const excess = yield* findExcess({ userId, newest, others: maxSessions - 1 })
    if (excess.length === 0) return
    if (onLimit === "refuse") return yield* new SessionLimitReached()
    const sessionIds = excess.map(({ id }) => id)
    yield* revokeLiveTokens({ userId, reason: "session-limit", sessionIds })
  })
}

export const makeCreateRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const refreshTokens = refreshTokensTable(sql)
  const insert = makeInsert(sql, refreshTokens)
  const insertMany = makeInsertMany(sql, refreshTokens)
  const explain = makeExplain(sql)
  const lockUser = makeLockUser(sql)
  const enforceLimit = makeEnforceLimit(sql)

  const insertOrExplain = Effect.fnUntraced(function* (
    token: NewRefreshToken,
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

  // With the user's row held, so that sessions that begin at once are counted one after the other. The
  // token comes first: what it is refused for ends no other session.
  const insertWithinLimit = (token: NewRefreshToken, maxSessions: number) =>
    Effect.fnUntraced(
      function* (id: string, fingerprint: Uint8Array | null) {
        yield* lockUser({ id: token.userId })
        const inserted = yield* insertOrExplain(token, id, fingerprint)
        if (Option.isSome(inserted)) yield* enforceLimit(token, maxSessions, id)
        return inserted
      },
      inTransaction(sql),
      interpretErrors(),
    )

  const create = yield* makeCreate(sql, {
    name: "RefreshTokenRepository.create",
    table: refreshTokens,
    row: RefreshToken,
    operation: "create",
    values: NewRefreshToken,
    added: new Set(["sessionExpiresAt", "userVersion", "maxSessions", "onLimit"]),
    newId: uuidV7,
    lock: ({ userId }) => userId,
    alone: ({ maxSessions }) => maxSessions !== null,
    insert: (token, id, fingerprint) =>
      token.maxSessions === null
        ? insertOrExplain(token, id, fingerprint)
        : insertWithinLimit(token, token.maxSessions)(id, fingerprint),
    insertMany: (calls) => insertMany(calls.map(([id, token]) => ({ ...token, id }))),
  })

  return traced(
    "RefreshTokenRepository.create",
    (token: TokenToCreate, { idempotencyKey }: CreateOptions = {}) =>
      create({ ...unconditional, ...token }, idempotencyKey),
  )
})
