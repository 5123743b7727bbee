/**
 * The revocation of many tokens of one user, whose row the caller holds `FOR UPDATE`: no token is being
 * created or rotated then, and this statement, which begins after that, sees all of them.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { TokenHash } from "../domain/RefreshToken.ts"
import { SessionId } from "../domain/Session.ts"
import { UserId } from "../domain/User.ts"
import { nullable } from "../schema/nullable.ts"

const Revocation = Schema.Struct({
  userId: UserId,
  reason: Schema.String,
  sessionIds: nullable(Schema.Array(SessionId)),
  exceptSessionId: nullable(SessionId),
  exceptTokenHash: nullable(TokenHash),
})

/** Makes a function that revokes live tokens of a user, and gives how many these were. */
export const makeRevokeLiveTokens = (sql: SqlClient.SqlClient) => {
  // In the order of ids, as everybody who locks several tokens; statement_timestamp(), because now()
  // is the time before the wait for the user's row.
  const revoke = SqlSchema.findAll({
    Request: Revocation,
    Result: Schema.Unknown,
    execute: ({ userId, reason, sessionIds, exceptSessionId, exceptTokenHash }) =>
      sql`
        UPDATE public.refresh_tokens
        SET revoked_at = statement_timestamp(), revoked_reason = ${reason}
        WHERE id = ANY (ARRAY(
          SELECT id
          FROM public.refresh_tokens
          WHERE
            user_id = ${userId}
            AND revoked_at IS NULL
            AND expires_at > statement_timestamp()
            AND (${sessionIds}::uuid[] IS NULL OR COALESCE(session_id, id) = ANY(${sessionIds}::uuid[]))
            AND COALESCE(session_id, id) IS DISTINCT FROM ${exceptSessionId}::uuid
            AND token_hash IS DISTINCT FROM ${exceptTokenHash}
          ORDER BY id
          FOR NO KEY UPDATE
        ))
        RETURNING id`,
  })

  return (revocation: {
    readonly userId: UserId
    readonly reason: string
    /** The sessions whose tokens end; all by default. */
    readonly sessionIds?: ReadonlyArray<SessionId> | undefined
    readonly exceptSessionId?: SessionId | undefined
    readonly exceptTokenHash?: TokenHash | undefined
  }) =>
    Effect.map(
      revoke({
        userId: revocation.userId,
        reason: revocation.reason,
        sessionIds: revocation.sessionIds ?? null,
        exceptSessionId: revocation.exceptSessionId ?? null,
        exceptTokenHash: revocation.exceptTokenHash ?? null,
      }),
      (rows) => rows.length,
    )
}
