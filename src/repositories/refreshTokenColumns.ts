/**
 * The columns of `refresh_tokens` as the `RefreshToken` model names them. Addresses as text, which
 * PostgreSQL prints in a tenth of the client's time.
 */
export const refreshTokenColumns = `
  id,
  user_id AS "userId",
  token_hash AS "tokenHash",
  expires_at AS "expiresAt",
  created_at AS "createdAt",
  revoked_at AS "revokedAt",
  user_agent AS "userAgent",
  abbrev(ip_address) AS "ipAddress",
  successor_id AS "successorId",
  revoked_at IS NULL AND expires_at > now() AS "wasValid"`
