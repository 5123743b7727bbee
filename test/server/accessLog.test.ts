import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { AccessLogMode } from "../../src/server/accessLog.ts"
import { createUser } from "../support/bodies.ts"
import { call, get } from "../support/calls.ts"
import { eventually } from "../support/EmbeddedServer.ts"
import { LogEntries, type LogEntry } from "../support/LogEntries.ts"
import * as RawSocket from "../support/RawSocket.ts"
import { keyWith, testService } from "../support/TestService.ts"

const serviceLogging = (accessLog: AccessLogMode, isTraced: boolean) =>
  Layer.provideMerge(testService({ accessLog }, { isTraced }), LogEntries.layer)

/** The entry about a request with this id, once there is one. */
const entryOf = Effect.fnUntraced(function* (requestId: string | undefined) {
  const entries = yield* LogEntries
  const find = () => entries.find((entry) => entry["requestId"] === requestId)
  yield* eventually(Effect.sync(() => find() !== undefined))
  return find() ?? assert.fail("No entry")
})

const without = ({ timestamp: _, durationMs, traceId: __, spanId: ___, ...others }: LogEntry) => {
  assert.isAbove(Number(durationMs), 0)
  return others
}

for (const isTraced of [false, true]) {
  describe(isTraced ? "of requests that are traced" : "of requests", () => {
    layer(serviceLogging("all", isTraced), { excludeTestServices: true })(
      "the access log of all",
      (it) => {
        it.effect("has route, key and id of each, and nothing of its path and query", () =>
          Effect.gen(function* () {
            const user = yield* createUser()
            const answer = yield* get(`/v1/users/${user["id"]}`, {
              headers: { "x-request-id": "mine" },
            })
            assert.strictEqual(answer.status, 200)
            assert.deepStrictEqual(without(yield* entryOf("mine")), {
              level: "INFO",
              message: "GET /v1/users/{id}: 200",
              method: "GET",
              route: "/v1/users/{id}",
              key: "*",
              requestId: "mine",
              status: 200,
            })
            const refused = yield* get("/v1/users/by-email/somebody@example.com", { key: "wrong" })
            const entry = yield* entryOf(refused.headers["x-request-id"])
            assert.deepStrictEqual(without(entry), {
              level: "WARN",
              message: "GET /v1/users/by-email/{email}: 401",
              method: "GET",
              route: "/v1/users/by-email/{email}",
              requestId: refused.headers["x-request-id"],
              status: 401,
              address: "127.0.0.1",
            })
            const nothing = yield* get("/v1/secret?token=secret")
            const { message } = yield* entryOf(nothing.headers["x-request-id"])
            assert.strictEqual(message, "GET unmatched: 404")
            const entries = yield* LogEntries
            assert.notMatch(JSON.stringify(entries), /secret|somebody/)
          }))

        it.effect("has what was no request, under the id of its answer", () =>
          Effect.gen(function* () {
            const socket = yield* RawSocket.open
            yield* socket.send("NONSENSE\r\n\r\n")
            const [, id] = /x-request-id: (\S+)/i.exec(yield* socket.received) ?? []
            const entry = yield* entryOf(id)
            assert.strictEqual(entry["message"], "Malformed request: 400")
          }))
      },
    )

    layer(serviceLogging("errors", isTraced), { excludeTestServices: true })(
      "the access log of errors",
      (it) => {
        it.effect("has refused callers, with the name of a key that is known, and nothing else", () =>
          Effect.gen(function* () {
            const entries = yield* LogEntries
            const before = entries.length
            yield* get("/v1/users")
            yield* get("/v1/nothing")
            const refused = yield* get("/v1/users", { key: keyWith("tokens:read") })
            const entry = yield* entryOf(refused.headers["x-request-id"])
            assert.strictEqual(entry["key"], "tokens:read")
            assert.notProperty(entry, "address")
            assert.deepStrictEqual(entries.slice(before), [entry])
          }))

        it.effect("tells how many more were refused, not each", () =>
          Effect.gen(function* () {
            const entries = yield* LogEntries
            const before = entries.length
            yield* Effect.all(
              Array.from({ length: 100 }, () => get("/v1/users", { key: null })),
              { concurrency: "unbounded" },
            )
            const told = () => {
              const added = entries.slice(before).filter((entry) => entry["status"] !== 403)
              const leftOut = added.map((entry) => Number(entry["leftOut"] ?? 0))
              return {
                lines: added.length,
                requests: leftOut.reduce((sum, count) => sum + (count || 1), 0),
              }
            }
            yield* eventually(Effect.sync(() => told().requests === 100))
            assert.isBelow(told().lines, 60)
          }))
      },
    )

    layer(serviceLogging("off", isTraced), { excludeTestServices: true })(
      "an answer of 500",
      (it) => {
        it.effect("has an entry with route, key and id, whatever the access log is", () =>
          Effect.gen(function* () {
            const user = yield* createUser()
            const sql = yield* SqlClient.SqlClient
            // What the service does not know how to read.
            yield* sql`ALTER TABLE users RENAME COLUMN full_name TO name`
            const answer = yield* call("GET", `/v1/users/${user["id"]}`)
            assert.strictEqual(answer.status, 500)
            const entry = yield* entryOf(answer.headers["x-request-id"])
            assert.strictEqual(entry["level"], "ERROR")
            assert.strictEqual(entry["route"], "/v1/users/{id}")
            assert.strictEqual(entry["key"], "*")
            assert.isString(entry["cause"])
            if (isTraced) assert.match(String(entry["traceId"]), /^[0-9a-f]{32}$/)
            assert.lengthOf(yield* LogEntries, 1)
          }))
      },
    )
  })
}
