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
  attempted_at AS "attemptedAt", pending`

const credentials = `id AS "userId", email, auth_provider AS "authProvider",
  password_hash AS "passwordHash", google_id AS "googleId", is_active AS "isActive",
  version::text AS version`

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

// Both counters of an attempt, in the order of their keys, as everybody takes them, until the
// transaction ends: the next statement sees what those have recorded who had them before.
export const lockCounters = {
  name: "lock-counters",
  text: `
    SELECT pg_advisory_xact_lock(key)
    FROM (
      SELECT hashtextextended(counter, 0) AS key
      FROM unnest(ARRAY['email ' || lower($1::text), 'ipAddress ' || host($2::inet)]) AS counter
      ORDER BY key
    ) AS counters`,
}

// Gives no row where a limit is reached. What is pending counts as a failure. The times are those of
// the statement: the transaction may have waited for its locks.
export const beginAttempt = {
  name: "begin-attempt",
  text: `
    WITH counted AS (
      SELECT
        limits.*,
        CASE by
          WHEN 'email' THEN (
            SELECT count(*)::int
            FROM login_attempts
            WHERE
              lower(email) = lower($1 COLLATE "C")
              AND NOT success
              AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
              AND attempted_at > COALESCE(
                (
                  SELECT max(attempted_at)
                  FROM login_attempts
                  WHERE lower(email) = lower($1 COLLATE "C") AND success
                ),
                '-infinity'
              )
          )
          ELSE (
            SELECT count(*)::int
            FROM login_attempts
            WHERE
              ip_address = $2::inet
              AND NOT success
              AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
          )
        END AS count
      FROM json_to_recordset($4::json) AS limits (by text, failures int, minutes int)
    ), owner AS (
      SELECT ${credentials} FROM users WHERE lower(email) = lower($1 COLLATE "C")
    ), begun AS (
      INSERT INTO login_attempts (
        user_id, email, ip_address, user_agent, success, pending, attempted_at
      )
      SELECT (SELECT "userId" FROM owner), $1, $2, $3, false, true, statement_timestamp()
      WHERE NOT EXISTS (SELECT FROM counted WHERE count >= failures)
      RETURNING ${attempts}
    )
    SELECT
      begun.*,
      (SELECT COALESCE(json_agg(counted), '[]') FROM counted) AS counts,
      EXISTS (
        SELECT
        FROM login_attempts
        WHERE success AND lower(email) = lower($1 COLLATE "C") AND ip_address = $2
      ) AS "knownSource",
      (SELECT row_to_json(owner) FROM owner) AS user
    FROM begun`,
}

export const completeAttempt = {
  name: "complete-attempt",
  text: `
    UPDATE login_attempts
    SET
      success = $2,
      failure_reason = $3,
      pending = false,
      completed_at = statement_timestamp()
    WHERE id = $1 AND pending
    RETURNING ${attempts}`,
}

// Shares the user's row, as everything that makes tokens: whoever waits for it, or for the attempt,
// looks again at what they have become.
export const completeWithToken = {
  name: "complete-with-token",
  text: `
    WITH owner AS (
      SELECT id
      FROM users
      WHERE id = $3 AND is_active AND version::text = COALESCE($4, version::text)
      FOR SHARE
    ), completed AS (
      UPDATE login_attempts
      SET
        success = true,
        failure_reason = $2,
        pending = false,
        completed_at = statement_timestamp(),
        refresh_token_id = gen_random_uuid()
      WHERE id = $1 AND pending AND user_id = (SELECT id FROM owner)
      RETURNING ${attempts}, refresh_token_id
    ), created AS (
      INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent, ip_address)
      SELECT refresh_token_id, "userId", $5, $6, $7, $8
      FROM completed
      RETURNING ${tokens}
    )
    SELECT
      created.*,
      completed.id AS "attemptId",
      completed.email,
      completed."ipAddress" AS "attemptIpAddress",
      completed."userAgent" AS "attemptUserAgent",
      completed.success,
      completed."failureReason",
      completed."attemptedAt",
      completed.pending
    FROM created, completed`,
}

export const attemptState = {
  name: "attempt-state",
  text: `
    SELECT
      pending,
      user_id IS NOT DISTINCT FROM $2 AS "isOwner",
      is_active AS "isActive"
    FROM login_attempts
    LEFT JOIN users ON users.id = user_id
    WHERE login_attempts.id = $1`,
}
