// The routes of the benchmark with Fastify and pg.

import { timingSafeEqual } from "node:crypto"
import process from "node:process"
import Fastify from "fastify"
import pg from "pg"
import * as schemas from "./schemas.mjs"
import * as statements from "./statements.mjs"

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10, pipeline: true })

const app = Fastify({
  routerOptions: { maxParamLength: 1536 },
  ajv: { customOptions: { removeAdditional: false } },
})

const authorization = Buffer.from(`Bearer ${process.env.API_KEY}`)

app.addHook("onRequest", (request, reply, done) => {
  const given = Buffer.from(request.headers.authorization ?? "")
  if (given.length === authorization.length && timingSafeEqual(given, authorization)) done()
  else problem(reply, 401, "unauthorized")
})

const problem = (reply, status, name) =>
  reply.code(status).type("application/problem+json").serializer(JSON.stringify)
    .send({ type: `https://latchkey.dev/problems/${name}`, title: name, status })

const constraints = {
  users_email_key: [409, "email-taken"],
  users_google_id_key: [409, "google-id-taken"],
  users_auth_provider_check: [422, "credentials-missing"],
  refresh_tokens_token_hash_key: [409, "token-hash-taken"],
  refresh_tokens_user_id_fkey: [422, "user-not-found"],
  login_attempts_user_id_fkey: [422, "user-not-found"],
}

app.setErrorHandler((error, _request, reply) => {
  const violation = constraints[error.constraint]
  if (violation !== undefined) return problem(reply, ...violation)
  if (error.statusCode < 500) return problem(reply, error.statusCode, "invalid-request")
  return problem(reply, 500, "internal-error")
})

const query = async (statement, values) => (await pool.query({ ...statement, values })).rows[0]

// All of them in one go, and their first rows: where one fails, those behind it do as well, and COMMIT
// rolls back.
const transaction = async (...steps) => {
  const client = await pool.connect()
  const results = await Promise.allSettled([
    client.query("BEGIN"),
    ...steps.map(([statement, values]) => client.query({ ...statement, values })),
    client.query("COMMIT"),
  ])
  client.release()
  const failed = results.find(({ status }) => status === "rejected")
  if (failed !== undefined) throw failed.reason
  return results.slice(1, -1).map(({ value }) => value.rows[0])
}

const withUser = (row) =>
  row && {
    ...row,
    user: { ...row, id: row.userId, createdAt: row.userCreatedAt, updatedAt: row.userUpdatedAt },
  }

const response = (schema) => ({ "2xx": schema })

app.get("/v1/users/:id", {
  schema: { params: schemas.userParams, response: response(schemas.user) },
}, async ({ params }, reply) => {
  const user = await query(statements.userById, [params.id])
  return user ?? problem(reply, 404, "user-not-found")
})

app.get("/v1/users/by-email/:email", {
  schema: { params: schemas.emailParams, response: response(schemas.user) },
}, async ({ params }, reply) => {
  const user = await query(statements.userByEmail, [params.email])
  return user ?? problem(reply, 404, "user-not-found")
})

app.post("/v1/users", {
  schema: { body: schemas.newUser, response: response(schemas.user) },
}, async ({ body }, reply) => {
  reply.code(201)
  return await query(statements.createUser, [
    body.email,
    body.fullName,
    body.passwordHash,
    body.authProvider,
    body.googleId,
    body.isActive,
  ])
})

app.patch("/v1/users/:id", {
  schema: {
    params: schemas.userParams,
    body: schemas.userChanges,
    response: response(schemas.user),
  },
}, async ({ params: { id }, body: { passwordHash, revokeSessions } }, reply) => {
  const update = [statements.updatePassword, [id, passwordHash]]
  // The user's row is held when the tokens are looked for: none can be added any more, and all that
  // were are seen.
  const [user] = revokeSessions
    ? await transaction(update, [
      statements.revokeOtherSessions,
      [id, revokeSessions.exceptSessionId, revokeSessions.reason],
    ])
    : [await query(...update)]
  return user ?? problem(reply, 404, "user-not-found")
})

app.get("/v1/users/:id/login-attempts/recent-failures", {
  schema: {
    params: schemas.userParams,
    querystring: schemas.failuresQuery,
    response: response(schemas.failures),
  },
}, async ({ params, query: { minutes } }, reply) => {
  const failures = await query(statements.recentFailures, [params.id, minutes])
  return failures ?? problem(reply, 404, "user-not-found")
})

app.post("/v1/login-attempts", {
  schema: { body: schemas.newAttempt, response: response(schemas.attempt) },
}, async ({ body }, reply) => {
  reply.code(201)
  return await query(statements.createAttempt, [
    body.userId,
    body.email,
    body.ipAddress,
    body.userAgent,
    body.success,
    body.failureReason,
  ])
})

app.post("/v1/login-attempts/begin", {
  schema: {
    querystring: schemas.includeCredentials,
    body: schemas.attemptToBegin,
    response: response(schemas.begun),
  },
}, async ({ query: { include }, body }, reply) => {
  const { email, ipAddress, userAgent, limits } = body
  const [, row] = await transaction(
    [statements.lockCounters, [email, ipAddress]],
    [statements.beginAttempt, [email, ipAddress, userAgent, JSON.stringify(limits)]],
  )
  if (row === undefined) return problem(reply, 429, "too-many-failures")
  const { counts, knownSource, user, ...attempt } = row
  return reply.code(201)
    .send({ attempt, counts, knownSource, ...include === undefined ? {} : { user } })
})

app.post("/v1/login-attempts/:id/complete", {
  schema: {
    params: schemas.userParams,
    body: schemas.completion,
    response: response(schemas.completed),
  },
}, async ({ params: { id }, body: { success, failureReason, refreshToken } }, reply) => {
  if (refreshToken) {
    const { userId, userVersion, tokenHash, expiresAt, userAgent, ipAddress } = refreshToken
    const row = await query(statements.completeWithToken, [
      id,
      failureReason,
      userId,
      userVersion,
      tokenHash,
      expiresAt,
      userAgent,
      ipAddress,
    ])
    if (row !== undefined) {
      const attempt = {
        ...row,
        id: row.attemptId,
        ipAddress: row.attemptIpAddress,
        userAgent: row.attemptUserAgent,
      }
      return { attempt, refreshToken: row }
    }
  } else {
    const attempt = await query(statements.completeAttempt, [id, success, failureReason])
    if (attempt !== undefined) return { attempt, refreshToken: null }
  }
  const state = await query(statements.attemptState, [id, refreshToken?.userId])
  if (state === undefined) return problem(reply, 404, "login-attempt-not-found")
  if (!state.pending) return problem(reply, 409, "attempt-completed")
  if (!state.isOwner) return problem(reply, 422, "user-not-found")
  if (!state.isActive) return problem(reply, 409, "user-inactive")
  return problem(reply, 412, "precondition-failed")
})

app.post("/v1/refresh-tokens", {
  schema: { body: schemas.newToken, response: response(schemas.token) },
}, async ({ body }, reply) => {
  const token = await query(statements.createToken, [
    body.userId,
    body.tokenHash,
    body.expiresAt,
    body.userAgent,
    body.ipAddress,
  ])
  if (token !== undefined) return reply.code(201).send(token)
  const user = await query(statements.userById, [body.userId])
  if (user === undefined) return problem(reply, 422, "user-not-found")
  return problem(reply, 409, "user-inactive")
})

app.get("/v1/refresh-tokens/:tokenHash/valid", {
  schema: {
    params: schemas.tokenParams,
    querystring: schemas.include,
    response: response(schemas.tokenWithUser),
  },
}, async ({ params, query: { include } }, reply) => {
  const token = include === undefined
    ? await query(statements.validToken, [params.tokenHash])
    : withUser(await query(statements.validTokenWithUser, [params.tokenHash]))
  return token ?? problem(reply, 404, "refresh-token-not-found")
})

app.post("/v1/refresh-tokens/:tokenHash/revoke", {
  schema: { params: schemas.tokenParams, response: response(schemas.token) },
}, async ({ params }, reply) => {
  const values = [params.tokenHash]
  const revoked = await query(statements.revokeToken, values)
  if (revoked !== undefined) return revoked
  // Rotated before, or just now: its session may live on. A transaction of its own, since the statement
  // may have taken the token's row, and users come before tokens.
  const [, , token] = await transaction(
    [statements.lockOwner, values],
    [statements.revokeSession, values],
    [statements.tokenByHash, values],
  )
  return token ?? problem(reply, 404, "refresh-token-not-found")
})

app.post("/v1/refresh-tokens/:tokenHash/rotate", {
  schema: {
    params: schemas.tokenParams,
    querystring: schemas.include,
    body: schemas.newSuccessor,
    response: response(schemas.tokenWithUser),
  },
}, async ({ params, query: { include }, body }, reply) => {
  const values = [
    params.tokenHash,
    body.tokenHash,
    body.expiresAt,
    body.userAgent,
    body.ipAddress,
  ]
  const token = include === undefined
    ? await query(statements.rotateToken, values)
    : withUser(await query(statements.rotateTokenWithUser, values))
  if (token !== undefined) return reply.code(201).send(token)
  const state = await query(statements.tokenState, [params.tokenHash])
  if (state === undefined) return problem(reply, 404, "refresh-token-not-found")
  if (!state.active) return problem(reply, 409, "user-inactive")
  if (state.rotated) return problem(reply, 409, "refresh-token-reused")
  if (state.revoked) return problem(reply, 409, "refresh-token-revoked")
  return problem(reply, 410, "refresh-token-expired")
})

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) })
