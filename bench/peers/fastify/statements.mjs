// Named, so that each connection parses and plans them once.

const users = `id, email, full_name AS "fullName", auth_provider AS "authProvider",
  google_id AS "googleId", is_active AS "isActive", created_at AS "createdAt",
  updated_at AS "updatedAt"`

const tokens = `id, user_id AS "userId", token_hash AS "tokenHash", expires_at AS "expiresAt",
  created_at AS "createdAt", revoked_at AS "revokedAt", user_agent AS "userAgent",
  ip_address AS "ipAddress", revoked_at IS NULL AND expires_at > now() AS "isValid"`

const attempts = `id, user_id AS "userId", email, ip_address AS "ipAddress",
  user_agent AS "userAgent", success, failure_reason AS "failureReason",
  attempted_at AS "attemptedAt"`

export const userById = {
  name: "user-by-id",
  text: `SELECT ${users} FROM users WHERE id = $1`,
}

export const userByEmail = {
  name: "user-by-email",
  text: `SELECT ${users} FROM users WHERE lower(email) = lower($1 COLLATE "C")`,
}

export const createUser = {
  name: "create-user",
  text: `
    INSERT INTO users (email, full_name, password_hash, auth_provider, google_id, is_active)
    VALUES ($1, $2, $3, $4, $5, $6)
    RETURNING ${users}`,
}

export const validToken = {
  name: "valid-token",
  text: `
    SELECT ${tokens}
    FROM refresh_tokens
    WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`,
}

export const createToken = {
  name: "create-token",
  text: `
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent, ip_address)
    VALUES ($1, $2, $3, $4, $5)
    RETURNING ${tokens}`,
}

export const revokeToken = {
  name: "revoke-token",
  text: `
    UPDATE refresh_tokens
    SET revoked_at = COALESCE(revoked_at, now())
    WHERE token_hash = $1
    RETURNING ${tokens}`,
}

export const rotateToken = {
  name: "rotate-token",
  text: `
    WITH spent AS (
      UPDATE refresh_tokens
      SET revoked_at = now(), successor_id = gen_random_uuid()
      WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()
      RETURNING user_id, successor_id
    )
    INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent, ip_address)
    SELECT successor_id, user_id, $2, $3, $4, $5
    FROM spent
    RETURNING ${tokens}`,
}

export const tokenState = {
  name: "token-state",
  text: `
    SELECT successor_id IS NOT NULL AS rotated, revoked_at IS NOT NULL AS revoked
    FROM refresh_tokens
    WHERE token_hash = $1`,
}

export const recentFailures = {
  name: "recent-failures",
  text: `
    SELECT (
      SELECT count(*)::int
      FROM login_attempts
      WHERE
        user_id = users.id
        AND NOT success
        AND attempted_at >= now() - make_interval(mins => $2::int)
    ) AS count
    FROM users
    WHERE id = $1`,
}

export const createAttempt = {
  name: "create-attempt",
  text: `
    INSERT INTO login_attempts (user_id, email, ip_address, user_agent, success, failure_reason)
    VALUES ($1, $2, $3, $4, $5, $6)
    RETURNING ${attempts}`,
}
