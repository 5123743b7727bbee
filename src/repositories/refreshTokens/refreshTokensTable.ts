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
  successorId: {},
  wasValid: { output: "revoked_at IS NULL AND expires_at > now()" },
})

export type RefreshTokensTable = ReturnType<typeof refreshTokensTable>
