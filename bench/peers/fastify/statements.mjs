// Named, so that each connection parses and plans them once.

const users = `id, email, full_name AS "fullName", auth_provider AS "authProvider",
  google_id AS "googleId", is_active AS "isActive", email_verified_at AS "emailVerifiedAt",
  created_at AS "createdAt", updated_at AS "updatedAt"`

const tokens = `refresh_tokens.id, user_id AS "userId", token_hash AS "tokenHash",
  expires_at AS "expiresAt", refresh_tokens.created_at AS "createdAt", revoked_at AS "revokedAt",
  user_agent AS "userAgent", ip_address AS "ipAddress",
  COALESCE(session_id, refresh_tokens.id) AS "sessionId",
  COALESCE(signed_in_at, refresh_tokens.created_at) AS "signedInAt",
  session_expires_at AS "sessionExpiresAt", revoked_reason AS "revokedReason",
  revoked_at IS NULL AND expires_at > now() AS "isValid"`

// Of a token's user what the token does not have.
const owner = `email, full_name AS "fullName", auth_provider AS "authProvider",
  google_id AS "googleId", is_active AS "isActive", email_verified_at AS "emailVerifiedAt",
  users.created_at AS "userCreatedAt", users.updated_at AS "userUpdatedAt"`

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

// Whoever makes tokens shares the user's row, which a change of the user takes: until the one commits,
// the other waits.
export const updatePassword = {
  name: "update-password",
  text: `UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING ${users}`,
}

export const revokeOtherSessions = {
  name: "revoke-other-sessions",
  text: `
    UPDATE refresh_tokens
    SET revoked_at = now(), revoked_reason = $3
    WHERE
      user_id = $1
      AND COALESCE(session_id, id) IS DISTINCT FROM $2
      AND revoked_at IS NULL
      AND expires_at > now()`,
}

export const validToken = {
  name: "valid-token",
  text: `
    SELECT ${tokens}
    FROM refresh_tokens
    WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`,
}

export const validTokenWithUser = {
  name: "valid-token-with-user",
  text: `
    SELECT ${tokens}, ${owner}
    FROM refresh_tokens
    JOIN users ON users.id = user_id
    WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()`,
}

export const createToken = {
  name: "create-token",
  text: `
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent, ip_address)
    SELECT id, $2, $3, $4, $5
    FROM users
    WHERE id = $1 AND is_active
    FOR SHARE
    RETURNING ${tokens}`,
}

// A session has one live token, which a rotation replaces: if this token is live, it is the one, and a
// rotation that waits for its row finds it revoked.
export const revokeToken = {
  name: "revoke-token",
  text: `
    UPDATE refresh_tokens
    SET revoked_at = now(), revoked_reason = 'logout'
    WHERE token_hash = $1 AND revoked_at IS NULL
    RETURNING ${tokens}`,
}

// When nobody shares the user's row any more, all rotations are done or have to wait, and the next
// statement sees the session's live token.
export const lockOwner = {
  name: "lock-owner",
  text: `
    SELECT FROM users
    WHERE id = (SELECT user_id FROM refresh_tokens WHERE token_hash = $1)
    FOR UPDATE`,
}

export const revokeSession = {
  name: "revoke-session",
  text: `
    UPDATE refresh_tokens
    SET revoked_at = now(), revoked_reason = 'logout'
    FROM refresh_tokens AS asked
    WHERE
      asked.token_hash = $1
      AND refresh_tokens.user_id = asked.user_id
      AND COALESCE(refresh_tokens.session_id, refresh_tokens.id)
        = COALESCE(asked.session_id, asked.id)
      AND refresh_tokens.revoked_at IS NULL
      AND refresh_tokens.expires_at > now()`,
}

export const tokenByHash = {
  name: "token-by-hash",
  text: `SELECT ${tokens} FROM refresh_tokens WHERE token_hash = $1`,
}

const spent = `spent AS (
    UPDATE refresh_tokens
    SET revoked_at = now(), revoked_reason = 'rotated', successor_id = gen_random_uuid()
    WHERE
      token_hash = $1
      AND revoked_at IS NULL
      AND expires_at > now()
      AND EXISTS (SELECT FROM users WHERE users.id = user_id AND is_active FOR SHARE)
    RETURNING
      successor_id,
      user_id,
      user_agent,
      ip_address,
      COALESCE(session_id, id) AS session_id,
      COALESCE(signed_in_at, created_at) AS signed_in_at,
      session_expires_at
  )`

const insertSuccessor = `
  INSERT INTO refresh_tokens (
    id, user_id, token_hash, expires_at, user_agent, ip_address, session_id, signed_in_at,
    session_expires_at
  )
  SELECT
    successor_id,
    user_id,
    $2,
    LEAST($3, session_expires_at),
    COALESCE($4, user_agent),
    COALESCE($5, ip_address),
    session_id,
    signed_in_at,
    session_expires_at
  FROM spent
  RETURNING ${tokens}`

export const rotateToken = {
  name: "rotate-token",
  text: `WITH ${spent} ${insertSuccessor}`,
}

export const rotateTokenWithUser = {
  name: "rotate-token-with-user",
  text: `
    WITH ${spent}, created AS (${insertSuccessor})
    SELECT created.*, ${owner}
    FROM created
    JOIN users ON users.id = created."userId"`,
}

export const tokenState = {
  name: "token-state",
  text: `
    SELECT is_active AS active, successor_id IS NOT NULL AS rotated, revoked_at IS NOT NULL AS revoked
    FROM refresh_tokens
    JOIN users ON users.id = user_id
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
