/**
 * Refresh tokens as rows of the model, and what ends them.
 */
import { isPast } from "./Instant.ts"
import type { Tables, TokenRow } from "./Tables.ts"

export const isLive = ({ revokedAt, expiresAt }: Pick<TokenRow, "revokedAt" | "expiresAt">) =>
  revokedAt === null && !isPast(expiresAt)

export const tokenJson = ({ fingerprint: _, siblingIds: __, ...token }: TokenRow) => ({
  ...token,
  wasValid: isLive(token),
})

export const byHash = (tables: Tables, hash: string) =>
  tables.tokens.find(({ tokenHash }) => tokenHash === hash)

export const replace = (tables: Tables, token: TokenRow, changes: Partial<TokenRow>): Tables => ({
  ...tables,
  tokens: tables.tokens.map((other) => other.id === token.id ? { ...other, ...changes } : other),
})

type SessionRef = Pick<TokenRow, "userId" | "sessionId">

/** Whether a token is a live one of a session. */
export const isLiveOf = (session: SessionRef) => (token: TokenRow) =>
  token.userId === session.userId && token.sessionId === session.sessionId && isLive(token)

/** Revokes live tokens. */
export const revokeWhere = (
  tables: Tables,
  isMeant: (token: TokenRow) => boolean,
  revokedReason: string,
): { readonly tables: Tables; readonly revoked: number } => ({
  tables: {
    ...tables,
    tokens: tables.tokens.map((token) =>
      isLive(token) && isMeant(token) ? { ...token, revokedAt: "now", revokedReason } : token
    ),
  },
  revoked: tables.tokens.filter((token) => isLive(token) && isMeant(token)).length,
})

/** What errors tell of a token's session. */
export const sessionState = (tables: Tables, { userId, sessionId }: SessionRef) => ({
  session: {
    userId,
    sessionId,
    sessionIsLive: tables.tokens.some(isLiveOf({ userId, sessionId })),
  },
})
