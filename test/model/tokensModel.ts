/**
 * What the repository of refresh tokens promises.
 */
import { isOlderThan, isPast } from "./Instant.ts"
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
import type { NewToken } from "./values.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

const isLive = ({ isRevoked, expiresAt }: Pick<TokenRow, "isRevoked" | "expiresAt">) =>
  !isRevoked && !isPast(expiresAt)

const tokenJson = ({ fingerprint: _, ...token }: TokenRow) => ({
  ...token,
  wasValid: isLive(token),
})

const byHash = (tables: Tables, hash: string) =>
  tables.tokens.find(({ tokenHash }) => tokenHash === hash)

const replace = (tables: Tables, token: TokenRow, changes: Partial<TokenRow>): Tables => ({
  ...tables,
  tokens: tables.tokens.map((other) => other === token ? { ...token, ...changes } : other),
})

const insert = (
  tables: Tables,
  { token, key, fingerprint, answer }: {
    readonly token: NewToken
    readonly key: string | null
    readonly fingerprint: string | null
    readonly answer: Answer
  },
): Step => {
  if (!tables.users.some(({ id }) => id === token.userId)) return failure(tables, "UserNotFound")
  if (isPast(token.expiresAt)) return failure(tables, "ExpiryNotInFuture")
  if (byHash(tables, token.tokenHash) !== undefined) return failure(tables, "TokenHashTaken")
  const row = {
    ...token,
    id: key ?? generated(tables, answer, "id"),
    createdAt: generated(tables, answer, "createdAt"),
    isRevoked: false,
    successorId: null,
    fingerprint,
  }
  return {
    tables: {
      ...tables,
      tokens: [...tables.tokens, row],
      generated: key === null ? [...tables.generated, row.id] : tables.generated,
    },
    answer: tokenJson(row),
  }
}

export const createToken = (
  tables: Tables,
  { key, token }: Of<"CreateToken">,
  answer: Answer,
): Step => {
  const fingerprint = key === null ? null : JSON.stringify(token)
  return retry(tables, tables.tokens, { key, fingerprint, toJson: tokenJson }) ??
    insert(tables, { token, key, fingerprint, answer })
}

/** Why a token that is not live cannot be rotated. */
const refusal = (token: TokenRow) =>
  token.successorId !== null
    ? "RefreshTokenReused"
    : token.isRevoked
    ? "RefreshTokenRevoked"
    : "RefreshTokenExpired"

export const rotate = (
  tables: Tables,
  { tokenHash, successor, key }: Of<"Rotate">,
  answer: Answer,
): Step => {
  if (successor.tokenHash === tokenHash) return failure(tables, "SelfRotation")
  const fingerprint = key === null ? null : JSON.stringify(["rotate", tokenHash, successor])
  const again = retry(tables, tables.tokens, { key, fingerprint, toJson: tokenJson })
  if (again !== undefined) return again
  const token = byHash(tables, tokenHash)
  if (token === undefined) return failure(tables, "RefreshTokenNotFound")
  if (!isLive(token)) {
    const rotatedTo = tables.tokens.find(({ id }) => id === token.successorId)
    const isSamePair = rotatedTo?.tokenHash === successor.tokenHash
    if (rotatedTo === undefined || !isSamePair) return failure(tables, refusal(token))
    return isLive(rotatedTo)
      ? { tables, answer: tokenJson(rotatedTo) }
      : failure(tables, refusal(rotatedTo))
  }
  const inserted = insert(tables, {
    token: { userId: token.userId, ...successor },
    key,
    fingerprint,
    answer,
  })
  const created = byHash(inserted.tables, successor.tokenHash)
  return inserted.tables === tables || created === undefined ? inserted : {
    tables: replace(inserted.tables, token, { isRevoked: true, successorId: created.id }),
    answer: inserted.answer,
  }
}

export const findToken = (tables: Tables, hash: string, isLiveOnly: boolean): Step => {
  const token = byHash(tables, hash)
  const isFound = token !== undefined && (isLive(token) || !isLiveOnly)
  return { tables, answer: isFound ? tokenJson(token) : null }
}

export const revoke = (tables: Tables, { tokenHash }: Of<"Revoke">): Step => {
  const token = byHash(tables, tokenHash)
  if (token === undefined) return failure(tables, "RefreshTokenNotFound")
  return {
    tables: replace(tables, token, { isRevoked: true }),
    answer: tokenJson({ ...token, isRevoked: true }),
  }
}

export const revokeAll = (tables: Tables, { userId, except }: Of<"RevokeAll">): Step => {
  if (!tables.users.some(({ id }) => id === userId)) return failure(tables, "UserNotFound")
  const isMeant = (token: TokenRow) =>
    token.userId === userId && isLive(token) && token.tokenHash !== except
  return {
    tables: {
      ...tables,
      tokens: tables.tokens.map((token) => isMeant(token) ? { ...token, isRevoked: true } : token),
    },
    answer: tables.tokens.filter(isMeant).length,
  }
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

export const expireToken = (
  tables: Tables,
  { tokenHash, expiresAt }: Of<"ExpireToken">,
): Step => {
  const token = byHash(tables, tokenHash)
  return {
    tables: token === undefined ? tables : replace(tables, token, { expiresAt }),
    answer: null,
  }
}

/** When psql is told to say that the tokens were created, all at the same instant. */
export const createdTogether = "2026-01-02T00:00:00.000Z"

export const alignTokens = (tables: Tables, { userId }: Of<"AlignTokens">): Step => ({
  tables: {
    ...tables,
    tokens: tables.tokens.map((token) =>
      token.userId === userId ? { ...token, createdAt: createdTogether } : token
    ),
  },
  answer: null,
})

export const deleteExpired = (
  tables: Tables,
  { olderThanDays }: Of<"DeleteExpired">,
): Step => {
  const kept = tables.tokens.filter(({ expiresAt }) => !isOlderThan(expiresAt, olderThanDays ?? 7))
  return { tables: { ...tables, tokens: kept }, answer: tables.tokens.length - kept.length }
}
