// The routes of the benchmark with Fastify and pg.

import { timingSafeEqual } from "node:crypto"
import process from "node:process"
import Fastify from "fastify"
import pg from "pg"
import * as schemas from "./schemas.mjs"
import * as statements from "./statements.mjs"

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })

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

app.post("/v1/refresh-tokens", {
  schema: { body: schemas.newToken, response: response(schemas.token) },
}, async ({ body }, reply) => {
  reply.code(201)
  return await query(statements.createToken, [
    body.userId,
    body.tokenHash,
    body.expiresAt,
    body.userAgent,
    body.ipAddress,
  ])
})

app.get("/v1/refresh-tokens/:tokenHash/valid", {
  schema: { params: schemas.tokenParams, response: response(schemas.token) },
}, async ({ params }, reply) => {
  const token = await query(statements.validToken, [params.tokenHash])
  return token ?? problem(reply, 404, "refresh-token-not-found")
})

app.post("/v1/refresh-tokens/:tokenHash/revoke", {
  schema: { params: schemas.tokenParams, response: response(schemas.token) },
}, async ({ params }, reply) => {
  const token = await query(statements.revokeToken, [params.tokenHash])
  return token ?? problem(reply, 404, "refresh-token-not-found")
})

app.post("/v1/refresh-tokens/:tokenHash/rotate", {
  schema: {
    params: schemas.tokenParams,
    body: schemas.newSuccessor,
    response: response(schemas.token),
  },
}, async ({ params, body }, reply) => {
  const token = await query(statements.rotateToken, [
    params.tokenHash,
    body.tokenHash,
    body.expiresAt,
    body.userAgent,
    body.ipAddress,
  ])
  if (token !== undefined) return reply.code(201).send(token)
  const state = await query(statements.tokenState, [params.tokenHash])
  if (state === undefined) return problem(reply, 404, "refresh-token-not-found")
  if (state.rotated) return problem(reply, 409, "refresh-token-reused")
  if (state.revoked) return problem(reply, 409, "refresh-token-revoked")
  return problem(reply, 410, "refresh-token-expired")
})

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) })
