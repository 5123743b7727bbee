/** The routes of the benchmark with Hono and postgres.js, which prepares each statement once. */
import { Buffer } from "node:buffer"
import { timingSafeEqual } from "node:crypto"
import { zValidator } from "@hono/zod-validator"
import { type Context, Hono } from "hono"
import type { ContentfulStatusCode } from "hono/utils/http-status"
import postgres from "postgres"
import type { z } from "zod"
import * as schemas from "./schemas.ts"

const sql = postgres(Deno.env.get("DATABASE_URL")!, { max: 10 })

const users = sql`id, email, full_name AS "fullName", auth_provider AS "authProvider",
  google_id AS "googleId", is_active AS "isActive", email_verified_at AS "emailVerifiedAt",
  created_at AS "createdAt", updated_at AS "updatedAt"`

const tokens = sql`refresh_tokens.id, user_id AS "userId", token_hash AS "tokenHash",
  expires_at AS "expiresAt", refresh_tokens.created_at AS "createdAt", revoked_at AS "revokedAt",
  user_agent AS "userAgent", ip_address AS "ipAddress",
  COALESCE(session_id, refresh_tokens.id) AS "sessionId",
  COALESCE(signed_in_at, refresh_tokens.created_at) AS "signedInAt",
  session_expires_at AS "sessionExpiresAt", revoked_reason AS "revokedReason",
  revoked_at IS NULL AND expires_at > now() AS "isValid"`

// Of a token's user what the token does not have.
const owner = sql`email, full_name AS "fullName", auth_provider AS "authProvider",
  google_id AS "googleId", is_active AS "isActive", email_verified_at AS "emailVerifiedAt",
  users.created_at AS "userCreatedAt", users.updated_at AS "userUpdatedAt"`

const withUser = (row: postgres.Row) => {
  const {
    email,
    fullName,
    authProvider,
    googleId,
    isActive,
    emailVerifiedAt,
    userCreatedAt: createdAt,
    userUpdatedAt: updatedAt,
    ...token
  } = row
  const id = token.userId
  return {
    ...token,
    user: {
      id,
      email,
      fullName,
      authProvider,
      googleId,
      isActive,
      emailVerifiedAt,
      createdAt,
      updatedAt,
    },
  }
}

const attempts = sql`id, user_id AS "userId", email, ip_address AS "ipAddress",
  user_agent AS "userAgent", success, failure_reason AS "failureReason",
  attempted_at AS "attemptedAt", pending`

const credentials = sql`id AS "userId", email, auth_provider AS "authProvider",
  password_hash AS "passwordHash", google_id AS "googleId", is_active AS "isActive",
  version::text AS version`

const problem = (c: Context, status: ContentfulStatusCode, name: string) =>
  c.json({ type: `https://latchkey.dev/problems/${name}`, title: name, status }, status, {
    "Content-Type": "application/problem+json",
  })

const valid = <Target extends "param" | "query" | "json", Schema extends z.ZodType>(
  target: Target,
  schema: Schema,
) =>
  zValidator(target, schema, (result, c) => {
    if (!result.success) return problem(c, 400, "invalid-request")
  })

const constraints: Record<string, [ContentfulStatusCode, string]> = {
  users_email_key: [409, "email-taken"],
  users_google_id_key: [409, "google-id-taken"],
  users_auth_provider_check: [422, "credentials-missing"],
  refresh_tokens_token_hash_key: [409, "token-hash-taken"],
  refresh_tokens_user_id_fkey: [422, "user-not-found"],
  login_attempts_user_id_fkey: [422, "user-not-found"],
}

const authorization = Buffer.from(`Bearer ${Deno.env.get("API_KEY")}`)

const app = new Hono()

app.onError((error, c) => {
  const violation = error instanceof postgres.PostgresError &&
    constraints[error.constraint_name ?? ""]
  return violation ? problem(c, ...violation) : problem(c, 500, "internal-error")
})

app.notFound((c) => problem(c, 404, "not-found"))

app.use("/v1/*", async (c, next) => {
  const given = Buffer.from(c.req.header("Authorization") ?? "")
  if (given.length !== authorization.length || !timingSafeEqual(given, authorization)) {
    return problem(c, 401, "unauthorized")
  }
  await next()
})

app.get("/v1/users/:id", valid("param", schemas.userParams), async (c) => {
  const { id } = c.req.valid("param")
  const [user] = await sql`SELECT ${users} FROM users WHERE id = ${id}`
  return user ? c.json(user) : problem(c, 404, "user-not-found")
})

app.get("/v1/users/by-email/:email", valid("param", schemas.emailParams), async (c) => {
  const { email } = c.req.valid("param")
  const [user] = await sql`
    SELECT ${users} FROM users WHERE lower(email) = lower(${email} COLLATE "C")`
  return user ? c.json(user) : problem(c, 404, "user-not-found")
})

app.post("/v1/users", valid("json", schemas.newUser), async (c) => {
  const user = c.req.valid("json")
  const [created] = await sql`
    INSERT INTO users (email, full_name, password_hash, auth_provider, google_id, is_active)
    VALUES (
      ${user.email},
      ${user.fullName ?? null},
      ${user.passwordHash ?? null},
      ${user.authProvider},
      ${user.googleId ?? null},
      ${user.isActive}
    )
    RETURNING ${users}`
  return c.json(created, 201)
})

app.patch(
  "/v1/users/:id",
  valid("param", schemas.userParams),
  valid("json", schemas.userChanges),
  async (c) => {
    const { id } = c.req.valid("param")
    const { passwordHash, revokeSessions } = c.req.valid("json")
    const update = (sql: postgres.ISql) =>
      sql`UPDATE users SET password_hash = ${passwordHash} WHERE id = ${id} RETURNING ${users}`
    // Whoever makes tokens shares the user's row, which the update takes: none can be added any more
    // when the next statement looks for them, and all that were are seen.
    const [[user]] = revokeSessions
      ? await sql.begin((sql) => [
        update(sql),
        sql`
          UPDATE refresh_tokens
          SET revoked_at = now(), revoked_reason = ${revokeSessions.reason}
          WHERE
            user_id = ${id}
            AND COALESCE(session_id, id) IS DISTINCT FROM ${revokeSessions.exceptSessionId ?? null}
            AND revoked_at IS NULL
            AND expires_at > now()`,
      ])
      : [await update(sql)]
    return user ? c.json(user) : problem(c, 404, "user-not-found")
  },
)

app.get(
  "/v1/users/:id/login-attempts/recent-failures",
  valid("param", schemas.userParams),
  valid("query", schemas.failuresQuery),
  async (c) => {
    const { id } = c.req.valid("param")
    const { minutes } = c.req.valid("query")
    const [failures] = await sql`
      SELECT (
        SELECT count(*)::int
        FROM login_attempts
        WHERE
          user_id = users.id
          AND NOT success
          AND attempted_at >= now() - make_interval(mins => ${minutes}::int)
      ) AS count
      FROM users
      WHERE id = ${id}`
    return failures ? c.json(failures) : problem(c, 404, "user-not-found")
  },
)

app.post("/v1/login-attempts", valid("json", schemas.newAttempt), async (c) => {
  const attempt = c.req.valid("json")
  const [created] = await sql`
    INSERT INTO login_attempts (user_id, email, ip_address, user_agent, success, failure_reason)
    VALUES (
      ${attempt.userId ?? null},
      ${attempt.email},
      ${attempt.ipAddress},
      ${attempt.userAgent ?? null},
      ${attempt.success},
      ${attempt.failureReason ?? null}
    )
    RETURNING ${attempts}`
  return c.json(created, 201)
})

app.post(
  "/v1/login-attempts/begin",
  valid("query", schemas.includeCredentials),
  valid("json", schemas.attemptToBegin),
  async (c) => {
    const { email, ipAddress, userAgent, limits } = c.req.valid("json")
    const [, [row]] = await sql.begin((sql) => [
      // Both counters of an attempt, in the order of their keys, as everybody takes them, until the
      // transaction ends: the next statement sees what those have recorded who had them before.
      sql`
        SELECT pg_advisory_xact_lock(key)
        FROM (
          SELECT hashtextextended(counter, 0) AS key
          FROM unnest(
            ARRAY['email ' || lower(${email}::text), 'ipAddress ' || host(${ipAddress}::inet)]
          ) AS counter
          ORDER BY key
        ) AS counters`,
      // Gives no row where a limit is reached. What is pending counts as a failure. The times are
      // those of the statement: the transaction may have waited for its locks.
      sql`
        WITH counted AS (
          SELECT
            limits.*,
            CASE by
              WHEN 'email' THEN (
                SELECT count(*)::int
                FROM login_attempts
                WHERE
                  lower(email) = lower(${email} COLLATE "C")
                  AND NOT success
                  AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
                  AND attempted_at > COALESCE(
                    (
                      SELECT max(attempted_at)
                      FROM login_attempts
                      WHERE lower(email) = lower(${email} COLLATE "C") AND success
                    ),
                    '-infinity'
                  )
              )
              ELSE (
                SELECT count(*)::int
                FROM login_attempts
                WHERE
                  ip_address = ${ipAddress}::inet
                  AND NOT success
                  AND attempted_at >= statement_timestamp() - make_interval(mins => minutes)
              )
            END AS count
          FROM jsonb_to_recordset(${sql.json(limits)})
            AS limits (by text, failures int, minutes int)
        ), owner AS (
          SELECT ${credentials} FROM users WHERE lower(email) = lower(${email} COLLATE "C")
        ), begun AS (
          INSERT INTO login_attempts (
            user_id, email, ip_address, user_agent, success, pending, attempted_at
          )
          SELECT
            (SELECT "userId" FROM owner),
            ${email},
            ${ipAddress},
            ${userAgent ?? null},
            false,
            true,
            statement_timestamp()
          WHERE NOT EXISTS (SELECT FROM counted WHERE count >= failures)
          RETURNING ${attempts}
        )
        SELECT
          begun.*,
          (SELECT COALESCE(json_agg(counted), '[]') FROM counted) AS counts,
          EXISTS (
            SELECT
            FROM login_attempts
            WHERE
              success
              AND lower(email) = lower(${email} COLLATE "C")
              AND ip_address = ${ipAddress}
          ) AS "knownSource",
          (SELECT row_to_json(owner) FROM owner) AS user
        FROM begun`,
    ])
    if (!row) return problem(c, 429, "too-many-failures")
    const { counts, knownSource, user, ...attempt } = row
    const { include } = c.req.valid("query")
    return c.json({ attempt, counts, knownSource, ...include ? { user } : {} }, 201)
  },
)

/**
 * Shares the user's row, as everything that makes tokens: whoever waits for it, or for the attempt,
 * looks again at what they have become.
 */
const completeWithToken = async (
  id: string,
  failureReason: string | null,
  token: NonNullable<z.infer<typeof schemas.completion>["refreshToken"]>,
) => {
  const { userVersion } = token
  const [row] = await sql`
    WITH owner AS (
      SELECT id
      FROM users
      WHERE
        id = ${token.userId}
        AND is_active
        AND version::text = COALESCE(${userVersion ?? null}, version::text)
      FOR SHARE
    ), completed AS (
      UPDATE login_attempts
      SET
        success = true,
        failure_reason = ${failureReason},
        pending = false,
        completed_at = statement_timestamp(),
        refresh_token_id = gen_random_uuid()
      WHERE id = ${id} AND pending AND user_id = (SELECT id FROM owner)
      RETURNING ${attempts}, refresh_token_id
    ), created AS (
      INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent, ip_address)
      SELECT
        refresh_token_id,
        "userId",
        ${token.tokenHash},
        ${token.expiresAt},
        ${token.userAgent ?? null},
        ${token.ipAddress ?? null}
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
    FROM created, completed`
  if (!row) return undefined
  const {
    attemptId,
    email,
    attemptIpAddress,
    attemptUserAgent,
    success,
    failureReason: reason,
    attemptedAt,
    pending,
    ...refreshToken
  } = row
  return {
    attempt: {
      id: attemptId,
      userId: row.userId,
      email,
      ipAddress: attemptIpAddress,
      userAgent: attemptUserAgent,
      success,
      failureReason: reason,
      attemptedAt,
      pending,
    },
    refreshToken,
  }
}

app.post(
  "/v1/login-attempts/:id/complete",
  valid("param", schemas.userParams),
  valid("json", schemas.completion),
  async (c) => {
    const { id } = c.req.valid("param")
    const { success, failureReason = null, refreshToken } = c.req.valid("json")
    if (refreshToken) {
      const completed = await completeWithToken(id, failureReason, refreshToken)
      if (completed) return c.json(completed)
    } else {
      const [attempt] = await sql`
        UPDATE login_attempts
        SET
          success = ${success},
          failure_reason = ${failureReason},
          pending = false,
          completed_at = statement_timestamp()
        WHERE id = ${id} AND pending
        RETURNING ${attempts}`
      if (attempt) return c.json({ attempt, refreshToken: null })
    }
    const [state] = await sql`
      SELECT
        pending,
        user_id IS NOT DISTINCT FROM ${refreshToken?.userId ?? null} AS "isOwner",
        is_active AS "isActive"
      FROM login_attempts
      LEFT JOIN users ON users.id = user_id
      WHERE login_attempts.id = ${id}`
    if (!state) return problem(c, 404, "login-attempt-not-found")
    if (!state.pending) return problem(c, 409, "attempt-completed")
    if (!state.isOwner) return problem(c, 422, "user-not-found")
    if (!state.isActive) return problem(c, 409, "user-inactive")
    return problem(c, 412, "precondition-failed")
  },
)

app.post("/v1/refresh-tokens", valid("json", schemas.newToken), async (c) => {
  const token = c.req.valid("json")
  const [created] = await sql`
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent, ip_address)
    SELECT
      id,
      ${token.tokenHash},
      ${token.expiresAt},
      ${token.userAgent ?? null},
      ${token.ipAddress ?? null}
    FROM users
    WHERE id = ${token.userId} AND is_active
    FOR SHARE
    RETURNING ${tokens}`
  if (created) return c.json(created, 201)
  const [user] = await sql`SELECT FROM users WHERE id = ${token.userId}`
  return user ? problem(c, 409, "user-inactive") : problem(c, 422, "user-not-found")
})

app.get(
  "/v1/refresh-tokens/:tokenHash/valid",
  valid("param", schemas.tokenParams),
  valid("query", schemas.includeQuery),
  async (c) => {
    const { tokenHash } = c.req.valid("param")
    if (c.req.valid("query").include) {
      const [row] = await sql`
        SELECT ${tokens}, ${owner}
        FROM refresh_tokens
        JOIN users ON users.id = user_id
        WHERE token_hash = ${tokenHash} AND revoked_at IS NULL AND expires_at > now()`
      return row ? c.json(withUser(row)) : problem(c, 404, "refresh-token-not-found")
    }
    const [token] = await sql`
      SELECT ${tokens}
      FROM refresh_tokens
      WHERE token_hash = ${tokenHash} AND revoked_at IS NULL AND expires_at > now()`
    return token ? c.json(token) : problem(c, 404, "refresh-token-not-found")
  },
)

app.post("/v1/refresh-tokens/:tokenHash/revoke", valid("param", schemas.tokenParams), async (c) => {
  const { tokenHash } = c.req.valid("param")
  // A session has one live token, which a rotation replaces: if this token is live, it is the one, and
  // a rotation that waits for its row finds it revoked.
  const [revoked] = await sql`
    UPDATE refresh_tokens
    SET revoked_at = now(), revoked_reason = 'logout'
    WHERE token_hash = ${tokenHash} AND revoked_at IS NULL
    RETURNING ${tokens}`
  if (revoked) return c.json(revoked)
  // Rotated before, or just now: its session may live on. When nobody shares the user's row any more,
  // all rotations are done or have to wait, and the next statement sees the session's live token.
  const [, , [token]] = await sql.begin((sql) => [
    sql`
      SELECT FROM users
      WHERE id = (SELECT user_id FROM refresh_tokens WHERE token_hash = ${tokenHash})
      FOR UPDATE`,
    sql`
      UPDATE refresh_tokens
      SET revoked_at = now(), revoked_reason = 'logout'
      FROM refresh_tokens AS asked
      WHERE
        asked.token_hash = ${tokenHash}
        AND refresh_tokens.user_id = asked.user_id
        AND COALESCE(refresh_tokens.session_id, refresh_tokens.id)
          = COALESCE(asked.session_id, asked.id)
        AND refresh_tokens.revoked_at IS NULL
        AND refresh_tokens.expires_at > now()`,
    sql`SELECT ${tokens} FROM refresh_tokens WHERE token_hash = ${tokenHash}`,
  ])
  return token ? c.json(token) : problem(c, 404, "refresh-token-not-found")
})

app.post(
  "/v1/refresh-tokens/:tokenHash/rotate",
  valid("param", schemas.tokenParams),
  valid("query", schemas.includeQuery),
  valid("json", schemas.newSuccessor),
  async (c) => {
    const { tokenHash } = c.req.valid("param")
    const { include } = c.req.valid("query")
    const successor = c.req.valid("json")
    const spent = sql`spent AS (
      UPDATE refresh_tokens
      SET revoked_at = now(), revoked_reason = 'rotated', successor_id = gen_random_uuid()
      WHERE
        token_hash = ${tokenHash}
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
    const insertSuccessor = sql`
      INSERT INTO refresh_tokens (
        id, user_id, token_hash, expires_at, user_agent, ip_address, session_id, signed_in_at,
        session_expires_at
      )
      SELECT
        successor_id,
        user_id,
        ${successor.tokenHash},
        LEAST(${successor.expiresAt}, session_expires_at),
        COALESCE(${successor.userAgent ?? null}, user_agent),
        COALESCE(${successor.ipAddress ?? null}, ip_address),
        session_id,
        signed_in_at,
        session_expires_at
      FROM spent
      RETURNING ${tokens}`
    const [row] = include
      ? await sql`
        WITH ${spent}, created AS (${insertSuccessor})
        SELECT created.*, ${owner}
        FROM created
        JOIN users ON users.id = created."userId"`
      : await sql`WITH ${spent} ${insertSuccessor}`
    if (row) return c.json(include ? withUser(row) : row, 201)
    const [state] = await sql`
      SELECT
        is_active AS active,
        successor_id IS NOT NULL AS rotated,
        revoked_at IS NOT NULL AS revoked
      FROM refresh_tokens
      JOIN users ON users.id = user_id
      WHERE token_hash = ${tokenHash}`
    if (!state) return problem(c, 404, "refresh-token-not-found")
    if (!state.active) return problem(c, 409, "user-inactive")
    if (state.rotated) return problem(c, 409, "refresh-token-reused")
    if (state.revoked) return problem(c, 409, "refresh-token-revoked")
    return problem(c, 410, "refresh-token-expired")
  },
)

Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, app.fetch)
