/**
 * The end of a session of a user, by its id.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { makeWaitFor } from "../../database/LockWaits.ts"
import { inTransaction } from "../../database/transactions.ts"
import { logout, type RevocationReason, SessionId, SessionNotFound } from "../../domain/Session.ts"
import { UserId, UserNotFound } from "../../domain/User.ts"
import { makeLockUser } from "../lockUser.ts"
import { makeRevokeLiveTokens } from "../revokeLiveTokens.ts"

export interface RevokeOptions {
  /** Default `logout`. */
  readonly reason?: RevocationReason | undefined
}

/** Makes a function that ends a session of a user. */
export const makeRevokeSession = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const lockUser = makeLockUser(sql)
  const revokeLiveTokens = makeRevokeLiveTokens(sql)
  const waitFor = yield* makeWaitFor(sql)

  const findSession = SqlSchema.findOneOption({
    Request: Schema.Struct({ userId: UserId, sessionId: SessionId }),
    Result: Schema.Unknown,
    execute: ({ userId, sessionId }) =>
      sql`
        SELECT
        WHERE
          EXISTS (SELECT FROM public.refresh_tokens WHERE id = ${sessionId} AND user_id = ${userId} AND session_id IS NULL)
          OR EXISTS (SELECT FROM public.refresh_tokens WHERE user_id = ${userId} AND session_id = ${sessionId})`,
  })

  return Effect.fnUntraced(
    function* (
      userId: UserId,
      sessionId: SessionId,
      { reason = logout }: RevokeOptions = {},
    ) {
      if (Option.isNone(yield* lockUser({ id: userId }))) return yield* new UserNotFound()
      const revoked = yield* revokeLiveTokens({ userId, reason, sessionIds: [sessionId] })
      if (revoked === 0 && Option.isNone(yield* findSession({ userId, sessionId }))) {
        return yield* new SessionNotFound()
      }
      return revoked
    },
    inTransaction(sql),
    interpretErrors(),
    (revocation, userId) => waitFor(userId, revocation),
  )
})
