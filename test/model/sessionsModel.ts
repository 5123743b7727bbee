/**
 * What the repository of refresh tokens promises of sessions as such.
 */
import { later } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import { type Call, failure, pageOf, type Step, type Tables } from "./Tables.ts"
import { isLive, isLiveOf, revokeWhere } from "./tokenRows.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

export const revokeSession = (
  tables: Tables,
  { userId, reason }: Of<"RevokeSession">,
  { sessionId }: Call,
): Step => {
  if (!tables.users.some(({ id }) => id === userId)) return failure(tables, "UserNotFound")
  const isKnown = sessionId !== null &&
    tables.tokens.some((token) => token.userId === userId && token.sessionId === sessionId)
  if (!isKnown) return failure(tables, "SessionNotFound")
  const ended = revokeWhere(tables, isLiveOf({ userId, sessionId }), reason ?? "logout")
  return { tables: ended.tables, answer: ended.revoked }
}

/** A live session as its newest token has it, or null. */
const toSession = (tables: Tables, userId: string, sessionId: string) => {
  const orderOf = ({ createdAt, id }: Tables["tokens"][number]) => `${createdAt} ${id}`
  const tokens = tables.tokens
    .filter(isLiveOf({ userId, sessionId }))
    .toSorted((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)
  const newest = tokens.at(-1)
  return newest === undefined ? [] : [{
    id: sessionId,
    userId,
    createdAt: newest.signedInAt,
    refreshedAt: newest.createdAt,
    expiresAt: tokens.map(({ expiresAt }) => expiresAt).reduce(later),
    sessionExpiresAt: newest.sessionExpiresAt,
    userAgent: newest.userAgent,
    ipAddress: newest.ipAddress,
  }]
}

export const listSessions = (
  tables: Tables,
  { userId, limit }: Of<"ListSessions">,
  { after }: Call,
): Step => {
  if (!tables.users.some(({ id }) => id === userId)) return failure(tables, "UserNotFound")
  const live = tables.tokens.filter((token) => token.userId === userId && isLive(token))
  const ids = [...new Set(live.map(({ sessionId }) => sessionId))]
  return pageOf(tables, ids.flatMap((id) => toSession(tables, userId, id)), {
    after,
    limit,
    toJson: ({ createdAt, ...session }) => ({ ...session, signedInAt: createdAt }),
  })
}
