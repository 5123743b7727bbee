/**
 * What the repository of refresh tokens promises.
 */
import { earlier, isOlderThan, isPast } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import {
  type Answer,
  type Call,
  failure,
  generated,
  pageOf,
  retry,
  type Step,
  type Tables,
  type TokenRow,
} from "./Tables.ts"
import { byHash, isLive, isLiveOf, replace, revokeWhere, tokenJson } from "./tokenRows.ts"
import { userJson } from "./usersModel.ts"
import type { NewToken } from "./values.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

/** Adds a token that nothing is in the way of: of a session that goes on, or of one that begins. */
export const insertToken = (
  tables: Tables,
  { token, session, key, fingerprint, answer }: {
    readonly token: NewToken
    readonly session: Pick<TokenRow, "sessionId" | "signedInAt"> | null
    readonly key: string | null
    readonly fingerprint: string | null
    readonly answer: Answer
  },
) => {
  const id = key ?? generated(tables, answer, "id")
  const createdAt = generated(tables, answer, "createdAt")
  const row: TokenRow = {
    ...token,
    id,
    createdAt,
    expiresAt: earlier(token.expiresAt, token.sessionExpiresAt),
    sessionId: session?.sessionId ?? id,
    signedInAt: session?.signedInAt ?? createdAt,
    revokedAt: null,
    revokedReason: null,
    successorId: null,
    siblingIds: [],
    fingerprint,
  }
  return {
    tables: {
      ...tables,
      tokens: [...tables.tokens, row],
      generated: key === null ? [...tables.generated, id] : tables.generated,
    },
    token: row,
  }
}

/** Why a session cannot begin with a token. */
const obstacle = (tables: Tables, token: NewToken, userVersion: string | null) => {
  const user = tables.users.find(({ id }) => id === token.userId)
  if (user === undefined) return failure(tables, "UserNotFound")
  if (!user.isActive) return failure(tables, "UserInactive")
  if (userVersion !== null && userVersion !== user.version) {
    return failure(tables, "VersionMismatch")
  }
  if (isPast(token.expiresAt)) {
    return failure(tables, "ExpiryNotInFuture", { property: "expiresAt" })
  }
  if (token.sessionExpiresAt !== null && isPast(token.sessionExpiresAt)) {
    return failure(tables, "ExpiryNotInFuture", { property: "sessionExpiresAt" })
  }
  return byHash(tables, token.tokenHash) === undefined
    ? undefined
    : failure(tables, "TokenHashTaken")
}

/** The sessions of a token's user beside its own that are too many, the oldest. */
const excess = (tables: Tables, token: TokenRow, maxSessions: number) => {
  const orderOf = ({ signedInAt, sessionId }: TokenRow) => `${signedInAt} ${sessionId}`
  const others = tables.tokens
    .filter((other) => other.userId === token.userId && other.id !== token.id && isLive(other))
    .toSorted((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)
    .map(({ sessionId }) => sessionId)
  const sessionIds = [...new Set(others)]
  return sessionIds.slice(0, Math.max(0, sessionIds.length - (maxSessions - 1)))
}

export const createToken = (
  tables: Tables,
  { key, token, sessionLimit }: Of<"CreateToken">,
  { userVersion }: Call,
  answer: Answer,
): Step => {
  const fingerprint = key === null ? null : JSON.stringify([token, userVersion, sessionLimit])
  const again = retry(tables, tables.tokens, { key, fingerprint, toJson: tokenJson }) ??
    obstacle(tables, token, userVersion)
  if (again !== undefined) return again
  const created = insertToken(tables, { token, session: null, key, fingerprint, answer })
  const step = { tables: created.tables, answer: tokenJson(created.token) }
  if (sessionLimit === null) return step
  const sessionIds = excess(created.tables, created.token, sessionLimit.maxSessions)
  if (sessionIds.length === 0) return step
  if (sessionLimit.onLimit === "refuse") return failure(tables, "SessionLimitReached")
  const isMeant = ({ userId, sessionId }: TokenRow) =>
    userId === token.userId && sessionIds.includes(sessionId)
  return { ...step, tables: revokeWhere(created.tables, isMeant, "session-limit").tables }
}

/** A token as it is given, with its user if that was asked for. */
export const tokenAnswer = (tables: Tables, token: TokenRow, withUser: boolean) => {
  if (!withUser) return tokenJson(token)
  const user = tables.users.find(({ id }) => id === token.userId)
  return { token: tokenJson(token), user: user === undefined ? "no user" : userJson(user) }
}

export const findToken = (
  tables: Tables,
  { tokenHash }: { readonly tokenHash: string },
): Step => {
  const token = byHash(tables, tokenHash)
  return { tables, answer: token === undefined ? null : tokenJson(token) }
}

export const findValidToken = (
  tables: Tables,
  { tokenHash, withUser }: Of<"GetValidToken">,
): Step => {
  const token = byHash(tables, tokenHash)
  const isFound = token !== undefined && isLive(token)
  return { tables, answer: isFound ? tokenAnswer(tables, token, withUser) : null }
}

export const revoke = (tables: Tables, { tokenHash, reason }: Of<"Revoke">): Step => {
  const token = byHash(tables, tokenHash)
  if (token === undefined) return failure(tables, "RefreshTokenNotFound")
  const revokedReason = reason ?? "logout"
  const others = revokeWhere(tables, isLiveOf(token), revokedReason).tables
  const ended = token.revokedAt === null
    ? { ...token, revokedAt: "now" as const, revokedReason }
    : token
  return { tables: replace(others, token, ended), answer: tokenJson(ended) }
}

export const revokeAll = (
  tables: Tables,
  { userId, except, reason }: Of<"RevokeAll">,
  { sessionId }: Call,
): Step => {
  if (!tables.users.some(({ id }) => id === userId)) return failure(tables, "UserNotFound")
  const ended = revokeWhere(
    tables,
    (token) =>
      token.userId === userId && token.tokenHash !== except && token.sessionId !== sessionId,
    reason ?? "logout-all",
  )
  return { tables: ended.tables, answer: ended.revoked }
}

export const listTokens = (
  tables: Tables,
  { userId, active, limit }: Of<"ListTokens">,
  { after }: Call,
): Step => {
  if (!tables.users.some(({ id }) => id === userId)) return failure(tables, "UserNotFound")
  const tokens = tables.tokens.filter((token) =>
    token.userId === userId && (active === null || active === isLive(token))
  )
  return pageOf(tables, tokens, { after, limit, toJson: tokenJson })
}

export const deleteExpired = (
  tables: Tables,
  { olderThanDays }: Of<"DeleteExpired">,
): Step => {
  const kept = tables.tokens.filter(({ expiresAt }) => !isOlderThan(expiresAt, olderThanDays ?? 7))
  return { tables: { ...tables, tokens: kept }, answer: tables.tokens.length - kept.length }
}
