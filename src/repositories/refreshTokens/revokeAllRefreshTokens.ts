/**
 * The revocation of all refresh tokens of a user.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../../database/LockWaits.ts"
import { inTransaction } from "../../database/transactions.ts"
import { RefreshTokenId, TokenHash } from "../../domain/RefreshToken.ts"
import { UserId, UserNotFound } from "../../domain/User.ts"
import { nullable } from "../../schema/nullable.ts"

export interface RevokeAllOptions {
  /** A token that stays as it is. */
  readonly exceptTokenHash?: TokenHash | undefined
}

export const makeRevokeAllRefreshTokens = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const lockUser = SqlSchema.findOneOption({
    Request: Schema.Struct({ id: UserId }),
    Result: Schema.Struct({ id: UserId }),
    execute: bounded(({ id, lockTimeout }) =>
      sql`
        SELECT id
        FROM public.users
        WHERE id = ${id} AND ${lockTimeoutIs(sql, lockTimeout)}
        FOR UPDATE`
    ),
  })

  // statement_timestamp(), because now() is the time before the wait for the user's row.
  const revokeAll = SqlSchema.findAll({
    Request: Schema.Struct({ userId: UserId, except: nullable(TokenHash) }),
    Result: Schema.Struct({ id: RefreshTokenId }),
    execute: ({ userId, except }) =>
      sql`
        UPDATE public.refresh_tokens
        SET revoked_at = statement_timestamp()
        WHERE
          user_id = ${userId}
          AND revoked_at IS NULL
          AND expires_at > statement_timestamp()
          AND token_hash IS DISTINCT FROM ${except}
        RETURNING id`,
  })

  const waitFor = yield* makeWaitFor(sql)

  return Effect.fnUntraced(
    function* (userId: UserId, options?: RevokeAllOptions) {
      const user = yield* lockUser({ id: userId })
      if (Option.isNone(user)) return yield* new UserNotFound()
      const except = options?.exceptTokenHash ?? null
      return (yield* revokeAll({ userId, except })).length
    },
    inTransaction(sql),
    interpretErrors(),
    (revocation, userId) => waitFor(userId, revocation),
  )
})
