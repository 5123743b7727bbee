/**
 * The revocation of a refresh token, which ends its session: the token and all live ones that its
 * rotations have led to.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { makeGroupCommit } from "../../database/batching/groupCommit.ts"
import { interpretErrors } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import { RefreshToken, RefreshTokenNotFound, TokenHash } from "../../domain/RefreshToken.ts"
import { logout } from "../../domain/Session.ts"
import { refreshTokensTable } from "./refreshTokensTable.ts"
import type { RevokeOptions } from "./revokeSession.ts"
import { sessionIsLive } from "./sessionIsLive.ts"

const Revocation = Schema.Struct({ tokenHash: TokenHash, reason: Schema.String })
type Revocation = typeof Revocation.Type

/**
 * Revokes the live tokens of the sessions that the tokens `asked` for belong to.
 *
 * A rotation beside it may hold a token of the session and add another one, which this statement cannot
 * see: its snapshot is older. It finds that token rotated, or with more siblings, once it has the row;
 * the session is not complete then, and another statement has to look for what was added. A rotation
 * holds the row of its token while it adds the successor, so nothing can be added where none is live.
 */
const makeRevokeSessions =
  (sql: SqlClient.SqlClient) => (asked: Statement.Fragment, whenLocked: Statement.Fragment) =>
    sql`
      WITH asked AS (
        ${asked}
      ), seen AS (
        SELECT
          token.id AS seen_id,
          asked.session,
          asked.reason,
          asked.id = token.id AS is_asked,
          COALESCE(cardinality(token.sibling_ids), 0) AS siblings
        FROM asked
        JOIN public.refresh_tokens AS token
          ON token.user_id = asked.user_id
          AND COALESCE(token.session_id, token.id) = asked.session
        WHERE token.revoked_at IS NULL AND (token.expires_at > now() OR token.id = asked.id)
      ), held AS (
        SELECT id AS held_id, COALESCE(cardinality(sibling_ids), 0) AS siblings
        FROM public.refresh_tokens
        WHERE id = ANY (ARRAY(SELECT seen_id FROM seen)) AND revoked_at IS NULL
        ORDER BY id
        FOR NO KEY UPDATE ${whenLocked}
      ), incomplete AS (
        SELECT seen.session
        FROM seen
        LEFT JOIN held ON held.held_id = seen.seen_id AND held.siblings = seen.siblings
        WHERE held.held_id IS NULL
      )
      UPDATE public.refresh_tokens
      SET revoked_at = now(), revoked_reason = seen.reason
      FROM seen
      JOIN held ON held.held_id = seen.seen_id
      WHERE
        refresh_tokens.id = seen.seen_id
        AND seen.session NOT IN (SELECT session FROM incomplete)
      RETURNING
        ${refreshTokensTable(sql).columns},
        seen.is_asked AS "isAsked",
        seen.session NOT IN (SELECT session FROM incomplete) AS "isComplete"`

const Revoked = Schema.Struct({
  ...RefreshToken.fields,
  isAsked: Schema.Boolean,
  isComplete: Schema.Boolean,
})

/** A row that answers the call that asked for it: no live token of its session is left. */
const isAnswer = Schema.is(
  Schema.Struct({ isAsked: Schema.Literal(true), isComplete: Schema.Literal(true) }),
)

/** What a call did to a session: the token that was asked for as it is now, and how many it revoked. */
interface Ended {
  readonly token: RefreshToken
  readonly revoked: number
}

/** Makes a function that ends the session of a token, whatever the token's own state. */
export const makeEndSession = (sql: SqlClient.SqlClient) => {
  const { columns } = refreshTokensTable(sql)

  const revokeSession = SqlSchema.findAll({
    Request: Revocation,
    Result: Revoked,
    execute: bounded(prepared<typeof Revocation.Encoded & Bound>(sql)`${
      makeRevokeSessions(sql)(
        sql`
          SELECT id, user_id, COALESCE(session_id, id) AS session, ${"reason"}::text AS reason
          FROM public.refresh_tokens
          WHERE token_hash = ${"tokenHash"} AND ${lockTimeoutIs(sql, "lockTimeout")}`,
        sql.literal(""),
      )
    }`),
  })

  const findAsked = SqlSchema.findOneOption({
    Request: TokenHash,
    Result: Schema.Struct({ ...RefreshToken.fields, sessionIsLive: Schema.Boolean }),
    execute: (tokenHash) =>
      sql`
        SELECT ${columns}, ${sessionIsLive(sql)} AS "sessionIsLive"
        FROM public.refresh_tokens
        WHERE token_hash = ${tokenHash}`,
  })

  return Effect.fnUntraced(function* (
    revocation: Revocation,
  ): Effect.fn.Return<Ended, RefreshTokenNotFound | DatabaseUnavailable> {
    let revoked = 0
    while (true) {
      const rows = yield* revokeSession(revocation).pipe(
        withSavepointOrRetry(sql),
        interpretErrors(),
      )
      revoked += rows.length
      const answer = rows.find(isAnswer)
      if (answer !== undefined) return { token: new RefreshToken(answer), revoked }
      const asked = yield* findAsked(revocation.tokenHash).pipe(retryRead(sql), interpretErrors())
      if (Option.isNone(asked)) return yield* new RefreshTokenNotFound()
      if (!asked.value.sessionIsLive) return { token: new RefreshToken(asked.value), revoked }
    }
  })
}

export const makeRevokeRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const endSession = makeEndSession(sql)

  const revokeSessionsWhereFree = SqlSchema.findAll({
    Request: Schema.Array(Revocation),
    Result: Schema.Unknown,
    execute: (revocations) =>
      makeRevokeSessions(sql)(
        sql`
          SELECT id, user_id, COALESCE(session_id, id) AS session, call.reason
          FROM public.refresh_tokens
          JOIN unnest(
            ${revocations.map(({ tokenHash }) => tokenHash)}::text[],
            ${revocations.map(({ reason }) => reason)}::text[]
          ) AS call (hash, reason) ON call.hash = token_hash
          WHERE ${waitsBriefly(sql)}`,
        sql.literal("SKIP LOCKED"),
      ),
  })

  const revoke = yield* makeGroupCommit(sql, {
    name: "RefreshTokenRepository.revoke",
    single: (revocation: Revocation) => Effect.map(endSession(revocation), ({ token }) => token),
    batch: (calls) =>
      Effect.map(
        revokeSessionsWhereFree(calls.map(([, revocation]) => revocation)),
        (rows) => rows.filter(isAnswer),
      ),
    row: RefreshToken,
    keyedBy: "tokenHash",
    key: ({ tokenHash }) => tokenHash,
    lock: ({ tokenHash }) => tokenHash,
  })

  return traced(
    "RefreshTokenRepository.revoke",
    (tokenHash: TokenHash, { reason = logout }: RevokeOptions = {}) =>
      revoke({ tokenHash, reason }),
  )
})
