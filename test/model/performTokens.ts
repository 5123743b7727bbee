/**
 * Calls about refresh tokens as their repository answers them, in the words of the model.
 */
import { DateTime, Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { TokenHash } from "../../src/domain/RefreshToken.ts"
import { SessionId } from "../../src/domain/Session.ts"
import { UserId } from "../../src/domain/User.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { toDateTime } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import type { Call } from "./Tables.ts"
import { createdTogether, formerSiblings } from "./tokensByHand.ts"
import {
  pageJson,
  sessionJson,
  toException,
  tokenJson,
  tokenWithUserJson,
  toPlace,
  toReason,
  toSuccessor,
  toToken,
  toTokenKey,
} from "./translations.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

export const createToken = Effect.fnUntraced(function* (operation: Of<"CreateToken">, call: Call) {
  const tokens = yield* RefreshTokenRepository
  return tokenJson(
    yield* tokens.create(toToken(operation, call), toTokenKey(operation.key)),
  )
})

export const getToken = Effect.fnUntraced(function* ({ tokenHash }: Of<"GetToken">) {
  const tokens = yield* RefreshTokenRepository
  const found = yield* tokens.getByTokenHash(TokenHash.make(tokenHash))
  return Option.getOrNull(Option.map(found, tokenJson))
})

export const getValidToken = Effect.fnUntraced(function* (
  { tokenHash, withUser }: Of<"GetValidToken">,
) {
  const tokens = yield* RefreshTokenRepository
  const hash = TokenHash.make(tokenHash)
  return withUser
    ? Option.getOrNull(Option.map(yield* tokens.getValidWithUser(hash), tokenWithUserJson))
    : Option.getOrNull(Option.map(yield* tokens.getValidByTokenHash(hash), tokenJson))
})

export const revoke = Effect.fnUntraced(function* ({ tokenHash, reason }: Of<"Revoke">) {
  const tokens = yield* RefreshTokenRepository
  return tokenJson(yield* tokens.revoke(TokenHash.make(tokenHash), toReason(reason)))
})

export const rotate = Effect.fnUntraced(function* (
  { tokenHash, successor, key, options: { graceSeconds, onReuse }, withUser }: Of<"Rotate">,
) {
  const tokens = yield* RefreshTokenRepository
  const rotation = [TokenHash.make(tokenHash), toSuccessor(successor), {
    ...toTokenKey(key),
    graceSeconds: graceSeconds ?? undefined,
    onReuse: onReuse ?? undefined,
  }] as const
  return withUser
    ? tokenWithUserJson(yield* tokens.rotateWithUser(...rotation))
    : tokenJson(yield* tokens.rotate(...rotation))
})

export const revokeAll = Effect.fnUntraced(function* (
  { userId, except, reason }: Of<"RevokeAll">,
  call: Call,
) {
  const tokens = yield* RefreshTokenRepository
  return yield* tokens.revokeAllForUser(UserId.make(userId), {
    ...(except === null ? {} : { exceptTokenHash: TokenHash.make(except) }),
    ...toException(call),
    ...toReason(reason),
  })
})

export const revokeSession = Effect.fnUntraced(function* (
  { userId, reason }: Of<"RevokeSession">,
  { sessionId }: Call,
) {
  const tokens = yield* RefreshTokenRepository
  return yield* tokens.revokeSession(
    UserId.make(userId),
    SessionId.make(sessionId ?? ""),
    toReason(reason),
  )
})

export const listTokens = Effect.fnUntraced(function* (
  { userId, active, limit }: Of<"ListTokens">,
  call: Call,
) {
  const tokens = yield* RefreshTokenRepository
  const page = yield* tokens.listForUser(UserId.make(userId), {
    active: active ?? undefined,
    limit,
    after: toPlace(call),
  })
  return pageJson(page, tokenJson)
})

export const listSessions = Effect.fnUntraced(function* (
  { userId, limit }: Of<"ListSessions">,
  call: Call,
) {
  const tokens = yield* RefreshTokenRepository
  const page = yield* tokens.listSessions(UserId.make(userId), { limit, after: toPlace(call) })
  return pageJson(page, sessionJson)
})

export const deleteExpired = Effect.fnUntraced(function* ({ olderThanDays }: Of<"DeleteExpired">) {
  const tokens = yield* RefreshTokenRepository
  return yield* tokens.deleteExpired(olderThanDays ?? undefined)
})

export const expireToken = Effect.fnUntraced(function* (
  { tokenHash, expiresAt }: Of<"ExpireToken">,
) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE refresh_tokens
    SET expires_at = ${DateTime.formatIso(toDateTime(expiresAt))}::timestamptz
    WHERE token_hash = ${tokenHash}`
  return null
})

export const ageRevocation = Effect.fnUntraced(function* ({ tokenHash }: Of<"AgeRevocation">) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE refresh_tokens
    SET revoked_at = ${DateTime.formatIso(toDateTime("an hour ago"))}::timestamptz
    WHERE token_hash = ${tokenHash} AND revoked_at IS NOT NULL`
  return null
})

export const addSiblings = Effect.fnUntraced(function* (
  { tokenHash, count }: Of<"AddSiblings">,
) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE refresh_tokens
    SET sibling_ids = (sibling_ids || ${formerSiblings}::uuid[])[:${count}]
    WHERE token_hash = ${tokenHash} AND COALESCE(cardinality(sibling_ids), 0) < ${count}`
  return null
})

// The session of a first token began when that was created, which its successors have a copy of.
export const alignTokens = Effect.fnUntraced(function* ({ userId }: Of<"AlignTokens">) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE refresh_tokens
    SET
      created_at = ${createdTogether}::timestamptz,
      signed_in_at = CASE WHEN signed_in_at IS NOT NULL THEN ${createdTogether}::timestamptz END
    WHERE user_id = ${userId}`
  return null
})
