/**
 * Holds the contestants to the same work before anything is measured: each answers one request of
 * every operation with the same status and JSON, and refuses a wrong key and a malformed id.
 */
import { Effect } from "effect"
import type { Size } from "./data.ts"
import { Failure } from "./Failure.ts"
import { type Request, single } from "./operations.ts"
import { send, type Server } from "./Server.ts"

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The answer to a write, with what differs between contestants replaced by its kind. */
const shape = (json: Record<string, unknown>, { path, body = {} }: Request) =>
  Object.fromEntries(
    Object.entries(json).map(([key, value]) => {
      if (typeof value !== "string") return [key, value]
      if (body[key] === value || path.includes(`/${value}/`)) return [key, "as sent"]
      return [key, instant.test(value) ? "instant" : uuid.test(value) ? "id" : value]
    }),
  )

/** JSON whose text does not depend on the order of its properties. */
const canonical = (json: Record<string, unknown>) => JSON.stringify(json, Object.keys(json).sort())

/** The answers to all operations, as texts that are equal where the answers agree. */
const answers = (server: Server, size: Size, run: number) =>
  Effect.forEach(single, (operation, k) =>
    Effect.gen(function* () {
      // A read must not depend on the number of the run, nor two writes use the same token.
      const reads = operation.kind === "read"
      const request = operation.requests({ size, run: reads ? 0 : run })(k)
      const { status, json } = yield* send(server.port, request)
      if (status !== operation.status) {
        return yield* new Failure({
          message: `${server.contestant.name} answers "${operation.name}" with ${status}: ` +
            JSON.stringify(json),
        })
      }
      return `${operation.name}: ${canonical(reads ? json : shape(json, request))}`
    }))

const refusals: ReadonlyArray<{ request: Request; key?: string; status: number }> = [
  { request: { method: "GET", path: "/v1/users/x" }, status: 400 },
  { request: { method: "GET", path: "/v1/users/x" }, key: "wrong", status: 401 },
  { request: { method: "POST", path: "/v1/login-attempts", body: { email: 1 } }, status: 400 },
  { request: { method: "GET", path: `/v1/refresh-tokens/${"0".repeat(64)}/valid` }, status: 404 },
]

const refuses = (server: Server) =>
  Effect.forEach(refusals, ({ request, key, status: expected }) =>
    Effect.gen(function* () {
      const { status } = yield* send(server.port, request, key)
      if (status === expected) return
      return yield* new Failure({
        message: `${server.contestant.name} answers ${request.path} with ${status}, ` +
          `not ${expected}`,
      })
    }), { discard: true })

/** Each server's run needs a number of its own, and {@link tokens} prepared tokens. */
export const verify = Effect.fnUntraced(function* (
  servers: ReadonlyArray<Server>,
  size: Size,
  runs: ReadonlyArray<number>,
) {
  let expected: ReadonlyArray<string> | undefined
  for (const [k, server] of servers.entries()) {
    yield* refuses(server)
    const given = yield* answers(server, size, runs[k]!)
    expected ??= given
    const different = given.findIndex((text, n) => text !== expected![n])
    if (different === -1) continue
    return yield* new Failure({
      message: `${server.contestant.name} differs from ${servers[0]!.contestant.name}:\n` +
        `  ${given[different]}\n  ${expected[different]}`,
    })
  }
})

export const tokens = single.length
