import { RefreshToken } from "../../domain/RefreshToken.ts"
import { describeTable } from "../describeTable.ts"

export const refreshTokensTable = describeTable("refresh_tokens", RefreshToken, {
  id: { input: "uuid" },
  userId: { input: "uuid" },
  tokenHash: { input: "text" },
  expiresAt: { input: "timestamptz" },
  createdAt: {},
  revokedAt: {},
  userAgent: { input: "text" },
  // As text, which PostgreSQL prints in a tenth of the client's time.
  ipAddress: { input: "inet", output: "abbrev(ip_address)" },
  // What was created before sessions were stored, or by psql, is the first token of a session of its own.
  sessionId: { output: "COALESCE(session_id, id)" },
  signedInAt: { output: "COALESCE(signed_in_at, created_at)" },
  sessionExpiresAt: { input: "timestamptz" },
  revokedReason: {
    output: "CASE WHEN revoked_at IS NOT NULL " +
      "THEN COALESCE(revoked_reason, CASE WHEN successor_id IS NOT NULL THEN 'rotated' END) END",
  },
  successorId: {},
  wasValid: { output: "revoked_at IS NULL AND expires_at > now()" },
})

export type RefreshTokensTable = ReturnType<typeof refreshTokensTable>
