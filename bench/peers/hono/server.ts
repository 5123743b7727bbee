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
  google_id AS "googleId", is_active AS "isActive", created_at AS "createdAt",
  updated_at AS "updatedAt"`

const tokens = sql`id, user_id AS "userId", token_hash AS "tokenHash", expires_at AS "expiresAt",
  created_at AS "createdAt", revoked_at AS "revokedAt", user_agent AS "userAgent",
  ip_address AS "ipAddress", revoked_at IS NULL AND expires_at > now() AS "isValid"`

const attempts = sql`id, user_id AS "userId", email, ip_address AS "ipAddress",
  user_agent AS "userAgent", success, failure_reason AS "failureReason",
  attempted_at AS "attemptedAt"`

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

app.post("/v1/refresh-tokens", valid("json", schemas.newToken), async (c) => {
  const token = c.req.valid("json")
  const [created] = await sql`
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent, ip_address)
    VALUES (
      ${token.userId},
      ${token.tokenHash},
      ${token.expiresAt},
      ${token.userAgent ?? null},
      ${token.ipAddress ?? null}
    )
    RETURNING ${tokens}`
  return c.json(created, 201)
})

app.get("/v1/refresh-tokens/:tokenHash/valid", valid("param", schemas.tokenParams), async (c) => {
  const { tokenHash } = c.req.valid("param")
  const [token] = await sql`
    SELECT ${tokens}
    FROM refresh_tokens
    WHERE token_hash = ${tokenHash} AND revoked_at IS NULL AND expires_at > now()`
  return token ? c.json(token) : problem(c, 404, "refresh-token-not-found")
})

app.post("/v1/refresh-tokens/:tokenHash/revoke", valid("param", schemas.tokenParams), async (c) => {
  const { tokenHash } = c.req.valid("param")
  const [token] = await sql`
    UPDATE refresh_tokens
    SET revoked_at = COALESCE(revoked_at, now())
    WHERE token_hash = ${tokenHash}
    RETURNING ${tokens}`
  return token ? c.json(token) : problem(c, 404, "refresh-token-not-found")
})

app.post(
  "/v1/refresh-tokens/:tokenHash/rotate",
  valid("param", schemas.tokenParams),
  valid("json", schemas.newSuccessor),
  async (c) => {
    const { tokenHash } = c.req.valid("param")
    const successor = c.req.valid("json")
    const [token] = await sql`
      WITH spent AS (
        UPDATE refresh_tokens
        SET revoked_at = now(), successor_id = gen_random_uuid()
        WHERE token_hash = ${tokenHash} AND revoked_at IS NULL AND expires_at > now()
        RETURNING user_id, successor_id
      )
      INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent, ip_address)
      SELECT
        successor_id,
        user_id,
        ${successor.tokenHash},
        ${successor.expiresAt},
        ${successor.userAgent ?? null},
        ${successor.ipAddress ?? null}
      FROM spent
      RETURNING ${tokens}`
    if (token) return c.json(token, 201)
    const [state] = await sql`
      SELECT successor_id IS NOT NULL AS rotated, revoked_at IS NOT NULL AS revoked
      FROM refresh_tokens
      WHERE token_hash = ${tokenHash}`
    if (!state) return problem(c, 404, "refresh-token-not-found")
    if (state.rotated) return problem(c, 409, "refresh-token-reused")
    if (state.revoked) return problem(c, 409, "refresh-token-revoked")
    return problem(c, 410, "refresh-token-expired")
  },
)

Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, app.fetch)
