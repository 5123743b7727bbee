/**
 * What rotations promise.
 */
import { isPast } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import { type Answer, failure, retry, type Step, type Tables, type TokenRow } from "./Tables.ts"
import { byHash, isLive, isLiveOf, replace, revokeWhere, sessionState } from "./tokenRows.ts"
import { insertToken, tokenAnswer } from "./tokensModel.ts"

type Rotate = Extract<Operation, { readonly _tag: "Rotate" }>

/** What a rotated token was replaced by, the first one first, as far as that is still there. */
const successorsOf = ({ tokens }: Tables, token: TokenRow) => {
  const first = tokens.find(({ id }) => id === token.successorId)
  return {
    first,
    all: first === undefined
      ? []
      : [first, ...tokens.filter(({ id }) => first.siblingIds.includes(id))],
  }
}

/** Successors of one token beside the first. */
const greatestSiblings = 10

/** Whether a token that was rotated may be rotated once more. */
const isInGrace = (tables: Tables, token: TokenRow, graceSeconds: number) => {
  const { first, all } = successorsOf(tables, token)
  return graceSeconds > 0 && token.revokedAt === "now" &&
    first !== undefined && isLive(first) && first.siblingIds.length < greatestSiblings &&
    all.every(({ successorId }) => successorId === null)
}

/** Why a token that is not live cannot be rotated. */
const refusal = (token: TokenRow) =>
  token.successorId !== null
    ? "RefreshTokenReused"
    : token.revokedAt !== null
    ? "RefreshTokenRevoked"
    : "RefreshTokenExpired"

/** Refuses because of the state of a token, and ends the session of one that is used again. */
const refuse = (
  tables: Tables,
  { token, because, onReuse }: {
    readonly token: TokenRow
    readonly because: TokenRow
    readonly onReuse: Rotate["options"]["onReuse"]
  },
): Step => {
  const error = refusal(because)
  const told = failure(tables, error, sessionState(tables, token))
  return error === "RefreshTokenReused" && onReuse === "revoke-session"
    ? { ...told, tables: revokeWhere(tables, isLiveOf(token), "reuse-detected").tables }
    : told
}

/** Adds a successor to a token, for the first time or in grace. */
const addSuccessor = (
  tables: Tables,
  token: TokenRow,
  { operation: { successor, key, withUser }, fingerprint, answer }: {
    readonly operation: Rotate
    readonly fingerprint: string | null
    readonly answer: Answer
  },
): Step => {
  if (isPast(successor.expiresAt)) {
    return failure(tables, "ExpiryNotInFuture", { property: "expiresAt" })
  }
  if (byHash(tables, successor.tokenHash) !== undefined) {
    return failure(tables, "TokenHashTaken", sessionState(tables, token))
  }
  const created = insertToken(tables, {
    token: {
      ...successor,
      userId: token.userId,
      userAgent: successor.userAgent ?? token.userAgent,
      ipAddress: successor.ipAddress ?? token.ipAddress,
      sessionExpiresAt: token.sessionExpiresAt,
    },
    session: token,
    key,
    fingerprint,
    answer,
  })
  const { first } = successorsOf(tables, token)
  const { id } = created.token
  return {
    tables: isLive(token) || first === undefined
      ? replace(created.tables, token, {
        revokedAt: "now",
        revokedReason: "rotated",
        successorId: id,
      })
      : replace(created.tables, first, { siblingIds: [...first.siblingIds, id] }),
    answer: tokenAnswer(created.tables, created.token, withUser),
  }
}

/** `answer` is the token of what was answered. */
export const rotate = (tables: Tables, operation: Rotate, answer: Answer): Step => {
  const { tokenHash, successor, key, options: { graceSeconds, onReuse }, withUser } = operation
  if (successor.tokenHash === tokenHash) return failure(tables, "SelfRotation")
  const fingerprint = key === null
    ? null
    : JSON.stringify(["rotate", tokenHash, successor, graceSeconds, onReuse])
  const toJson = (row: TokenRow) => tokenAnswer(tables, row, withUser)
  const again = retry(tables, tables.tokens, { key, fingerprint, toJson })
  if (again !== undefined) return again
  const token = byHash(tables, tokenHash)
  if (token === undefined) return failure(tables, "RefreshTokenNotFound")
  const isSamePair = (row: TokenRow) => row.tokenHash === successor.tokenHash
  const repeated = successorsOf(tables, token).all.find(isSamePair)
  if (repeated !== undefined && isLive(repeated)) return { tables, answer: toJson(repeated) }
  const owner = tables.users.find(({ id }) => id === token.userId)
  if (owner?.isActive !== true) {
    return failure(tables, "UserInactive", sessionState(tables, token))
  }
  if (isLive(token)) return addSuccessor(tables, token, { operation, fingerprint, answer })
  if (repeated !== undefined) return refuse(tables, { token, because: repeated, onReuse })
  return isInGrace(tables, token, graceSeconds ?? 0)
    ? addSuccessor(tables, token, { operation, fingerprint, answer })
    : refuse(tables, { token, because: token, onReuse })
}
