import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import type { JsonObject } from "../support/answers.ts"
import {
  aSuccessorBody,
  aTokenBody,
  aUserBody,
  createToken,
  createUser,
} from "../support/bodies.ts"
import { get } from "../support/calls.ts"
import { eventually } from "../support/EmbeddedServer.ts"
import { open, rawRequest } from "../support/RawSocket.ts"
import { TestService, testService } from "../support/TestService.ts"

/** Whether somebody waits for a lock of the transaction that asks. */
const somebodyWaits = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const waiting = yield* sql`
    SELECT pid
    FROM pg_locks
    WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`
  return waiting.length > 0
})

/** Whether so many requests are in flight, not counting the one that asks. */
const requestsInFlight = (count: number) =>
  Effect.map(get("/metrics"), ({ text }) => text.includes(`requests_in_flight ${count}\n`))

/**
 * Sends the request while `lock` keeps it waiting in the database, hangs up, and lets go of the
 * lock only then.
 */
const hangUpDuring = (
  request: string,
  body: JsonObject,
  lock: Effect.Effect<unknown, SqlError.SqlError>,
) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql.withTransaction(Effect.scoped(Effect.gen(function* () {
      yield* lock
      const socket = yield* open
      const text = JSON.stringify(body)
      const length = `Content-Length: ${text.length}`
      yield* socket.send(rawRequest(request, ["Content-Type: application/json", length], text))
      yield* eventually(somebodyWaits)
      yield* socket.destroy
      // What the service does because of that, it has begun before it answers others.
      yield* Effect.replicateEffect(get("/livez", { headers: { connection: "close" } }), 10)
      assert.isTrue(yield* eventually(somebodyWaits))
    })))
  })

layer(TestService, { excludeTestServices: true })("a client that hangs up", (it) => {
  it.effect("does not undo the creation of a user", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const body = aUserBody()
      yield* hangUpDuring("POST /v1/users", body, sql`LOCK TABLE users IN SHARE MODE`)
      yield* eventually(
        Effect.map(get(`/v1/users/by-email/${body["email"]}`), ({ status }) => status === 200),
      )
    }))

  it.effect("does not undo the change of a user", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* createUser()
      yield* hangUpDuring(
        `PATCH /v1/users/${id}`,
        { fullName: "Changed" },
        sql`SELECT id FROM users WHERE id = ${String(id)} FOR UPDATE`,
      )
      yield* eventually(
        Effect.map(get(`/v1/users/${id}`), ({ json }) => json["fullName"] === "Changed"),
      )
    }))

  it.effect("does not undo the deletion of a user", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* createUser()
      yield* hangUpDuring(
        `DELETE /v1/users/${id}`,
        {},
        sql`SELECT id FROM users WHERE id = ${String(id)} FOR UPDATE`,
      )
      yield* eventually(Effect.map(get(`/v1/users/${id}`), ({ status }) => status === 404))
    }))

  it.effect("does not undo the creation of a token", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* createUser()
      const body = aTokenBody(String(id))
      yield* hangUpDuring(
        "POST /v1/refresh-tokens",
        body,
        sql`SELECT id FROM users WHERE id = ${String(id)} FOR UPDATE`,
      )
      const path = `/v1/refresh-tokens/${body["tokenHash"]}`
      yield* eventually(Effect.map(get(path), ({ status }) => status === 200))
    }))

  it.effect("does not undo a rotation, nor half of it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { tokenHash, userId } = yield* createToken()
      const body = aSuccessorBody()
      yield* hangUpDuring(
        `POST /v1/refresh-tokens/${tokenHash}/rotate`,
        body,
        sql`SELECT id FROM users WHERE id = ${String(userId)} FOR UPDATE`,
      )
      const path = `/v1/refresh-tokens/${body["tokenHash"]}`
      yield* eventually(Effect.map(get(path), ({ status }) => status === 200))
      assert.isFalse((yield* get(`/v1/refresh-tokens/${tokenHash}`)).json["isValid"])
    }))

  it.effect("does not undo a revocation of all tokens", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { tokenHash, userId } = yield* createToken()
      yield* hangUpDuring(
        `POST /v1/users/${userId}/refresh-tokens/revoke`,
        {},
        sql`SELECT id FROM users WHERE id = ${String(userId)} FOR UPDATE`,
      )
      yield* eventually(
        Effect.map(
          get(`/v1/refresh-tokens/${tokenHash}`),
          ({ json }) => json["isValid"] === false,
        ),
      )
    }))
})

for (const isTraced of [false, true]) {
  layer(testService({}, { isTraced }), { excludeTestServices: true })(
    `a client that hangs up, ${isTraced ? "on the router's way" : "on the short way"},`,
    (it) => {
      it.effect("ends the statement that reads for it", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { id } = yield* createUser()
          for (const target of [`/v1/users/${id}`, "/v1/users", `/v1/users/${id}/refresh-tokens`]) {
            yield* sql.withTransaction(Effect.scoped(Effect.gen(function* () {
              yield* sql`LOCK TABLE users, refresh_tokens IN ACCESS EXCLUSIVE MODE`
              const socket = yield* open
              yield* socket.send(rawRequest(`GET ${target}`))
              yield* eventually(somebodyWaits)
              yield* socket.destroy
              assert.isTrue(yield* eventually(Effect.map(somebodyWaits, (is) => !is)))
            })))
          }
        }))

      it.effect("ends the statements that read for it and others, when they all have hung up", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { id } = yield* createUser()
          yield* sql.withTransaction(Effect.scoped(Effect.gen(function* () {
            yield* sql`LOCK TABLE users IN ACCESS EXCLUSIVE MODE`
            const sockets = yield* Effect.replicateEffect(open, 20)
            for (const { send } of sockets) yield* send(rawRequest(`GET /v1/users/${id}`))
            yield* eventually(somebodyWaits)
            // All of them have been read.
            yield* eventually(requestsInFlight(20))
            for (const { destroy } of sockets) yield* destroy
            assert.isTrue(yield* eventually(Effect.map(somebodyWaits, (is) => !is)))
          })))
        }))

      it.effect("ends what reads for the requests that it had sent ahead", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql.withTransaction(Effect.scoped(Effect.gen(function* () {
            yield* sql`LOCK TABLE users IN ACCESS EXCLUSIVE MODE`
            const socket = yield* open
            const request = rawRequest("GET /v1/users").replace("Connection: close\r\n", "")
            yield* socket.send(request.repeat(4))
            yield* eventually(somebodyWaits)
            yield* socket.destroy
            yield* eventually(Effect.map(somebodyWaits, (is) => !is))
          })))
          assert.isTrue(yield* eventually(requestsInFlight(0)))
        }))
    },
  )
}
