/** The columns of `refresh_tokens` as the `RefreshToken` model names them. */
export const refreshTokenColumns = `
  id,
  user_id AS "userId",
  token_hash AS "tokenHash",
  expires_at AS "expiresAt",
  created_at AS "createdAt",
  revoked_at AS "revokedAt",
  user_agent AS "userAgent",
  ip_address AS "ipAddress",
  successor_id AS "successorId",
  revoked_at IS NULL AND expires_at > now() AS "wasValid"`
