/**
 * Calls as the repositories answer them, in the words of the model.
 */
import { DateTime, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { LoginAttemptId } from "../../src/domain/LoginAttempt.ts"
import { RefreshTokenId, TokenHash } from "../../src/domain/RefreshToken.ts"
import { GoogleId, UserId } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { toDateTime } from "./Instant.ts"
import type { Answer, Call } from "./Tables.ts"
import { createdTogether } from "./tokensModel.ts"
import {
  attemptJson,
  pageJson,
  toAddress,
  toAttempt,
  toChanges,
  tokenJson,
  toPlace,
  toPrecondition,
  toSuccessor,
  toUser,
  userJson,
} from "./translations.ts"
import { createdByHand } from "./usersModel.ts"

const answer = Effect.fnUntraced(function* (call: Call) {
  const sql = yield* SqlClient.SqlClient
  const users = yield* UserRepository
  const tokens = yield* RefreshTokenRepository
  const attempts = yield* LoginAttemptRepository
  const { operation } = call
  switch (operation._tag) {
    case "CreateUser": {
      const { key, user } = operation
      const created = yield* users.create(
        toUser(user),
        key === null ? {} : { idempotencyKey: UserId.make(key) },
      )
      return userJson(created)
    }
    case "UpdateUser":
      return userJson(
        yield* users.update(
          UserId.make(operation.id),
          toChanges(operation.changes),
          toPrecondition(call),
        ),
      )
    case "DeleteUser":
      yield* users.delete(UserId.make(operation.id), toPrecondition(call))
      return null
    case "GetUser":
      return Option.getOrNull(
        Option.map(yield* users.getById(UserId.make(operation.id)), userJson),
      )
    case "GetUserByEmail":
      return Option.getOrNull(
        Option.map(yield* users.getByEmail(Email.make(operation.email)), userJson),
      )
    case "GetUserByGoogleId":
      return Option.getOrNull(
        Option.map(yield* users.getByGoogleId(GoogleId.make(operation.googleId)), userJson),
      )
    case "ListUsers":
      return pageJson(
        yield* users.list({ limit: operation.limit, after: toPlace(call) }),
        userJson,
      )
    case "WriteUserByHand": {
      const [row] = yield* sql`
        UPDATE users
        SET full_name = ${operation.fullName}, created_at = ${createdByHand}::timestamptz
        WHERE id = ${operation.id}
        RETURNING version::text AS version`
      return row ?? null
    }
    case "CreateToken": {
      const { key, token: { userId, ...token } } = operation
      const created = yield* tokens.create(
        { userId: UserId.make(userId), ...toSuccessor(token) },
        key === null ? {} : { idempotencyKey: RefreshTokenId.make(key) },
      )
      return tokenJson(created)
    }
    case "GetToken":
      return Option.getOrNull(
        Option.map(
          yield* tokens.getByTokenHash(TokenHash.make(operation.tokenHash)),
          tokenJson,
        ),
      )
    case "GetValidToken":
      return Option.getOrNull(
        Option.map(
          yield* tokens.getValidByTokenHash(TokenHash.make(operation.tokenHash)),
          tokenJson,
        ),
      )
    case "Revoke":
      return tokenJson(yield* tokens.revoke(TokenHash.make(operation.tokenHash)))
    case "Rotate": {
      const { tokenHash, successor, key } = operation
      const rotated = yield* tokens.rotate(
        TokenHash.make(tokenHash),
        toSuccessor(successor),
        key === null ? {} : { idempotencyKey: RefreshTokenId.make(key) },
      )
      return tokenJson(rotated)
    }
    case "RevokeAll": {
      const { userId, except } = operation
      return yield* tokens.revokeAllForUser(
        UserId.make(userId),
        except === null ? {} : { exceptTokenHash: TokenHash.make(except) },
      )
    }
    case "ListTokens": {
      const { userId, active, limit } = operation
      const page = yield* tokens.listForUser(UserId.make(userId), {
        active: active ?? undefined,
        limit,
        after: toPlace(call),
      })
      return pageJson(page, tokenJson)
    }
    case "ExpireToken":
      yield* sql`
        UPDATE refresh_tokens
        SET expires_at = ${DateTime.formatIso(toDateTime(operation.expiresAt))}::timestamptz
        WHERE token_hash = ${operation.tokenHash}`
      return null
    case "AlignTokens":
      yield* sql`
        UPDATE refresh_tokens
        SET created_at = ${createdTogether}::timestamptz
        WHERE user_id = ${operation.userId}`
      return null
    case "DeleteExpired":
      return yield* tokens.deleteExpired(operation.olderThanDays ?? undefined)
    case "CreateAttempt": {
      const { key, attempt } = operation
      const created = yield* attempts.create(
        toAttempt(attempt),
        key === null ? {} : { idempotencyKey: LoginAttemptId.make(key) },
      )
      return attemptJson(created)
    }
    case "CountByUser":
      return yield* attempts.countRecentFailures(
        UserId.make(operation.userId),
        operation.minutes ?? undefined,
      )
    case "CountByOrigin": {
      const { origin: { email, ipAddress }, minutes } = operation
      const address = ipAddress === null ? undefined : toAddress(ipAddress)
      if (email !== null) {
        return yield* attempts.countRecentFailuresFrom(
          { email: Email.make(email), ipAddress: address },
          minutes ?? undefined,
        )
      }
      return address === undefined
        ? null
        : yield* attempts.countRecentFailuresFrom({ ipAddress: address }, minutes ?? undefined)
    }
    case "AgeAttempts":
      yield* sql`
        UPDATE login_attempts
        SET attempted_at = ${DateTime.formatIso(toDateTime(operation.attemptedAt))}::timestamptz
        WHERE lower(email) = lower(${operation.email})`
      return null
    case "DeleteOld":
      return yield* attempts.deleteOld(operation.olderThanDays ?? undefined)
  }
})

/** The answer to a call; an error is an answer as well. */
export const perform = (call: Call) =>
  answer(call).pipe(
    Effect.catchTag("SqlError", Effect.die),
    Effect.catch(({ _tag }) => Effect.succeed({ error: _tag })),
    Effect.map((answer): Answer => answer),
  )
