/**
 * The revocation of all refresh tokens of a user.
 */
import { Effect, Option } from "effect"
import type { SqlClient } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { makeWaitFor } from "../../database/LockWaits.ts"
import { inTransaction } from "../../database/transactions.ts"
import type { TokenHash } from "../../domain/RefreshToken.ts"
import { logoutAll, type RevocationReason, type SessionId } from "../../domain/Session.ts"
import { type UserId, UserNotFound } from "../../domain/User.ts"
import { makeLockUser } from "../lockUser.ts"
import { makeRevokeLiveTokens } from "../revokeLiveTokens.ts"

export interface RevokeAllOptions {
  /** A token that stays as it is. */
  readonly exceptTokenHash?: TokenHash | undefined
  /** A session whose tokens stay as they are. */
  readonly exceptSessionId?: SessionId | undefined
  /** Default `logout-all`. */
  readonly reason?: RevocationReason | undefined
}

export const makeRevokeAllRefreshTokens = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const lockUser = makeLockUser(sql)
  const revokeLiveTokens = makeRevokeLiveTokens(sql)
  const waitFor = yield* makeWaitFor(sql)

  return Effect.fnUntraced(
    function* (
      userId: UserId,
      { exceptTokenHash, exceptSessionId, reason = logoutAll }: RevokeAllOptions = {},
    ) {
      if (Option.isNone(yield* lockUser({ id: userId }))) return yield* new UserNotFound()
      return yield* revokeLiveTokens({ userId, reason, exceptTokenHash, exceptSessionId })
    },
    inTransaction(sql),
    interpretErrors(),
    (revocation, userId) => waitFor(userId, revocation),
  )
})
