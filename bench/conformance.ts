/**
 * Holds the contestants to the same work before anything is measured: each answers one request of
 * every operation with the same status and JSON, leaves the same in the database, and refuses a wrong
 * key and a malformed id. And each ends sessions that are refreshed at the same time, and lets no more
 * logins begin at once than a limit leaves.
 */
import { Effect } from "effect"
import { addedBy, anAccount, aToken, prepare, sessionsOfAccount, type Size } from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import * as Logins from "./logins.ts"
import { type Request, single } from "./operations.ts"
import { race, races } from "./races.ts"
import { perform, send, type Server } from "./Server.ts"

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** What requests say of a property, wherever in their bodies. */
const saidOf = (key: string, body: object): ReadonlyArray<unknown> =>
  Object.entries(body).flatMap(([name, value]) => [
    ...name === key ? [value] : [],
    ...isObject(value) ? saidOf(key, value) : [],
  ])

const isSame = (said: unknown, value: string) =>
  typeof said === "string" && said.toLowerCase() === value.toLowerCase()

/**
 * An answer to the last of some requests, with what differs between contestants replaced by its kind.
 * They ask for different users, of whom they are told more than they have said.
 */
const shape = (
  json: object,
  requests: ReadonlyArray<Request>,
  differing: ReadonlyArray<string> = ["passwordHash", "version"],
): object =>
  Object.fromEntries(
    Object.entries(json).map(([key, value]) => {
      if (isObject(value)) return [key, shape(value, requests, differing)]
      if (differing.includes(key)) return [key, typeof value]
      if (typeof value !== "string") return [key, value]
      const isSent = requests.some(({ path, body = {} }) =>
        saidOf(key, body).some((said) => isSame(said, value)) ||
        path.split(/[/?]/).includes(value)
      )
      if (isSent) return [key, "as sent"]
      if (instant.test(value)) return [key, "instant"]
      if (uuid.test(value)) return [key, "id"]
      return [key, value.startsWith(`${addedBy}.`) ? "of the run" : value]
    }),
  )

/** JSON whose text does not depend on the order of its properties. */
const canonical = (json: object) =>
  JSON.stringify(
    json,
    (_, value: unknown) =>
      isObject(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
        : value,
  )

/** What has become of a run's tokens, their successors and its accounts, without ids and times. */
const traces = (run: number) => `
  SELECT
    (
      SELECT json_agg(
        json_build_array(
          i,
          COALESCE(token.revoked_reason, CASE WHEN successor.id IS NOT NULL THEN 'rotated' END),
          token.revoked_at IS NOT NULL,
          successor.session_id = COALESCE(token.session_id, token.id),
          successor.signed_in_at = COALESCE(token.signed_in_at, token.created_at),
          successor.revoked_at IS NULL
        )
        ORDER BY i
      )
      FROM generate_series(0, ${single.length}) AS i
      JOIN refresh_tokens AS token ON token.token_hash = bench.prepared_token_hash(${run}, i)
      LEFT JOIN refresh_tokens AS successor ON successor.id = token.successor_id
    ) AS tokens,
    (
      SELECT json_agg(
        json_build_array(
          i,
          session,
          right(password_hash, 32) = md5(i::text),
          token.revoked_at IS NOT NULL,
          token.revoked_reason
        )
        ORDER BY i, session
      )
      FROM
        generate_series(0, ${single.length}) AS i,
        generate_series(0, ${sessionsOfAccount - 1}) AS session,
        refresh_tokens AS token
        JOIN users ON users.id = token.user_id
      WHERE token.token_hash = bench.session_token_hash(${run}, i, session)
    ) AS accounts`

/** The answers to all operations, and what they left, as texts that are equal where these agree. */
const answers = Effect.fnUntraced(function* (server: Server, size: Size, run: number) {
  const database = yield* Database
  yield* Effect.forEach(
    [aToken, anAccount],
    (usesUp) => database.run(prepare({ usesUp }, size, run, single.length)),
  )
  const given = yield* Effect.forEach(single, (operation, k) =>
    Effect.gen(function* () {
      // A read must not depend on the number of the run, nor two writes use the same token.
      const reads = operation.kind === "read"
      const context = { size, run: reads ? 0 : run }
      const given = yield* perform(server, operation, context, k)
      const requests = given.map(({ request }) => request)
      const texts = given.map(({ json }) =>
        canonical(reads ? json : shape(json, requests, ["passwordHash", "version", "count"]))
      )
      return `${operation.name}: ${texts.join("; ")}`
    }))
  const [left] = yield* database.query(traces(run))
  return [...given, `left in the database: ${JSON.stringify(left)}`]
})

/** The same of logins, some of which fail. */
const loginAnswers = Effect.fnUntraced(function* (server: Server, size: Size, run: number) {
  const { exchanges, left } = yield* Logins.logins(server, size, run)
  const requests = exchanges.map(({ request }) => request)
  return [
    ...exchanges.map(({ what, json }) => `login, ${what}: ${canonical(shape(json, requests))}`),
    `left of logins: ${left}`,
  ]
})

const nobody = "00000000-0000-4000-8000-000000000000"
const changes = { passwordHash: "$argon2id$", revokeSessions: { exceptSessionId: nobody } }

const refusals: ReadonlyArray<{ request: Request; key?: string; status: number }> = [
  { request: { method: "GET", path: "/v1/users/x" }, status: 400 },
  { request: { method: "GET", path: "/v1/users/x" }, key: "wrong", status: 401 },
  { request: { method: "POST", path: "/v1/login-attempts", body: { email: 1 } }, status: 400 },
  {
    request: { method: "POST", path: "/v1/login-attempts/begin", body: { email: 1 } },
    status: 400,
  },
  { request: { method: "GET", path: `/v1/refresh-tokens/${"0".repeat(64)}/valid` }, status: 404 },
  {
    request: { method: "GET", path: `/v1/refresh-tokens/${"0".repeat(64)}/valid?include=x` },
    status: 400,
  },
  { request: { method: "POST", path: `/v1/refresh-tokens/${"0".repeat(64)}/revoke` }, status: 404 },
  { request: { method: "PATCH", path: `/v1/users/${nobody}`, body: changes }, status: 404 },
  {
    request: {
      method: "PATCH",
      path: `/v1/users/${nobody}`,
      body: { ...changes, revokeSessions: { exceptSessionId: "x" } },
    },
    status: 400,
  },
]

const refuses = (server: Server) =>
  Effect.forEach(refusals, ({ request, key, status: expected }) =>
    Effect.gen(function* () {
      const { status } = yield* send(server.port, request, key)
      if (status === expected) return
      return yield* new Failure({
        message: `${server.contestant.name} answers ${request.method} ${request.path} with ` +
          `${status}, not ${expected}`,
      })
    }), { discard: true })

/** Fails where two servers differ, or one of them is wrong; takes numbers of runs. */
export const verify = Effect.fnUntraced(function* (
  servers: ReadonlyArray<Server>,
  size: Size,
  nextRun: () => number,
) {
  let expected: ReadonlyArray<string> | undefined
  for (const server of servers) {
    yield* refuses(server)
    const given = [
      ...(yield* answers(server, size, nextRun())),
      ...(yield* loginAnswers(server, size, nextRun())),
    ]
    expected ??= given
    const different = given.findIndex((text, n) => text !== expected![n])
    if (different !== -1) {
      return yield* new Failure({
        message: `${server.contestant.name} differs from ${servers[0]!.contestant.name}:\n` +
          `  ${given[different]}\n  ${expected[different]}`,
      })
    }
    yield* Effect.forEach(races, (each) => race(server, each, size, nextRun()))
    yield* Effect.forEach(Logins.races, (race) => race(server, size, nextRun()))
  }
})
