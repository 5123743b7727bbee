import { assert, describe, layer } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { assertJson, assertProblem, type JsonObject } from "../../support/answers.ts"
import { atOnce, whileHeld } from "../../support/atOnce.ts"
import { aNewUserId, aTokenBody, aUserBody } from "../../support/bodies.ts"
import { call, get, post } from "../../support/calls.ts"
import { keyedRoutes, targetOf } from "../../support/contractRoutes.ts"
import { untilWaiting } from "../../support/elsewhere.ts"
import { eventually } from "../../support/EmbeddedServer.ts"
import { exchange, open, parseAnswers, rawRequest } from "../../support/RawSocket.ts"
import { TestService, testService } from "../../support/TestService.ts"

const json = "Content-Type: application/json"

/** There is no such metric before the first request. */
const inFlight = Effect.map(
  get("/metrics", { key: null }),
  ({ text }) => Number(/^latchkey_http_requests_in_flight (\d+)$/m.exec(text)?.[1] ?? 0),
)

const untilInFlight = (count: number) =>
  eventually(Effect.map(inFlight, (found) => found === count))

const lockUsers = SqlClient.SqlClient.use((sql) => sql`LOCK TABLE users IN EXCLUSIVE MODE`)

const creating = (body: JsonObject) => {
  const text = JSON.stringify(body)
  return [
    rawRequest("POST /v1/users", [json, `Content-Length: ${Buffer.byteLength(text)}`]),
    text,
  ] as const
}

const isThere = ({ email }: JsonObject) =>
  Effect.map(get(`/v1/users/by-email/${email}`), ({ status }) => status === 200)

// What goes wrong on purpose need not be read in the output of the tests.
const Silent = TestService.pipe(Layer.provideMerge(Logger.layer([])))

describe("a request that goes directly", () => {
  layer(Silent, { excludeTestServices: true })("anyhow", (it) => {
    it.effect("may arrive in pieces, cut within a character", () =>
      Effect.gen(function* () {
        const body = aUserBody({ fullName: "Ada 😀 Lovelace" })
        const [head, text] = creating(body)
        const bytes = Buffer.from(text)
        const cut = bytes.indexOf(0xf0) + 2
        yield* Effect.scoped(Effect.gen(function* () {
          const socket = yield* open
          yield* socket.send(head)
          yield* socket.send(bytes.subarray(0, cut))
          // Answered only after the service has read the first piece.
          yield* get("/livez")
          yield* socket.send(bytes.subarray(cut))
          const [answer] = parseAnswers(yield* socket.received)
          assert.strictEqual(answer?.status, 201)
          assert.strictEqual(answer?.json["fullName"], "Ada 😀 Lovelace")
        }))
      }))

    it.effect("gets its own answer beside many others", () =>
      Effect.gen(function* () {
        const many = Array.from({ length: 60 }, () => aUserBody())
        const created = yield* atOnce(many.map((body) => post("/v1/users", body)))
        const found = yield* atOnce(created.flatMap(({ json: { id, email } }) => [
          get(`/v1/users/${id}`),
          get(`/v1/users/${crypto.randomUUID()}`),
          get(`/v1/users/by-email/${email}`),
          post("/v1/users", aUserBody({ email })),
        ]))
        assert.deepStrictEqual(
          created.map(({ json: { email } }) => email),
          many.map(({ email }) => email),
        )
        assert.deepStrictEqual(
          found.map(({ status, json }) => status === 200 ? json : status),
          created.flatMap(({ json }) => [json, 404, json, 409]),
        )
      }))

    it.effect("is answered in its turn, after a slower one on the same connection", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const id = yield* aNewUserId
        const body = JSON.stringify(aTokenBody(id))
        const request = [
          "POST /v1/refresh-tokens HTTP/1.1",
          ...rawRequest("GET /").split("\r\n").filter((line) =>
            /^(?:Host|Authorization)/.test(line)
          ),
          json,
          `Content-Length: ${body.length}`,
          "",
          body,
        ].join("\r\n") + rawRequest(`GET /v1/users/${id}`)
        const lock = sql`SELECT FROM users WHERE id = ${id} FOR UPDATE`
        const answering = yield* whileHeld(
          lock,
          Effect.gen(function* () {
            const answering = yield* Effect.forkChild(exchange(request))
            yield* untilInFlight(1)
            return answering
          }),
        )
        const answers = yield* Fiber.join(answering)
        assert.deepStrictEqual(answers.map(({ status }) => status), [201, 200])
      }))

    it.effect("leaves nothing behind when its client hangs up before all of it has arrived", () =>
      Effect.gen(function* () {
        const body = aUserBody()
        const text = JSON.stringify(body)
        yield* Effect.scoped(Effect.gen(function* () {
          const socket = yield* open
          const length = `Content-Length: ${text.length + 1}`
          yield* socket.send(rawRequest("POST /v1/users", [json, length], text))
          yield* get("/v1/users?limit=1")
          yield* socket.destroy
        }))
        yield* untilInFlight(0)
        assert.isFalse(yield* isThere(body))
      }))

    it.effect("is carried out when its client hangs up, and is in flight for just so long", () =>
      Effect.gen(function* () {
        const body = aUserBody()
        yield* whileHeld(
          lockUsers,
          Effect.scoped(Effect.gen(function* () {
            const socket = yield* open
            for (const part of creating(body)) yield* socket.send(part)
            yield* untilWaiting(1)
            yield* socket.destroy
            yield* get("/livez")
            assert.strictEqual(yield* inFlight, 1)
          })),
        )
        yield* untilInFlight(0)
        assert.isTrue(yield* isThere(body))
      }))

    it.effect("is in flight no longer once it has failed", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const id = yield* aNewUserId
        yield* sql`ALTER TABLE users RENAME COLUMN full_name TO fullest_name`
        const failed = yield* get(`/v1/users/${id}`)
        yield* sql`ALTER TABLE users RENAME COLUMN fullest_name TO full_name`
        assertProblem(failed, 500, "internal-error")
        assertProblem(yield* post("/v1/users", { email: 1 }), 400, "invalid-request")
        assertProblem(yield* get(`/v1/users/${crypto.randomUUID()}`), 404, "user-not-found")
        assertJson(yield* get(`/v1/users/${id}`), 200)
        yield* untilInFlight(0)
      }))
  })

  layer(testService({ maxRequestsInFlight: 2 }), { excludeTestServices: true })(
    "beyond the bound",
    (it) => {
      it.effect("is turned away, whatever it is for, while health and metrics answer", () =>
        Effect.gen(function* () {
          const user = yield* aNewUserId
          const admitted = yield* whileHeld(
            lockUsers,
            Effect.gen(function* () {
              // One of each way: both count.
              const admitted = [
                yield* Effect.forkChild(post("/v1/users", aUserBody())),
                yield* Effect.forkChild(call("DELETE", `/v1/users/${user}`)),
              ]
              yield* untilWaiting(2)
              for (const route of keyedRoutes) {
                const target = targetOf(route).replace(
                  "/v1/login-attempts/recent-failures",
                  "$&?email=ada@example.com",
                )
                const answer = yield* call(route.method, target, { json: route.body })
                assertProblem(answer, 503, "overloaded")
                assert.match(answer.headers["retry-after"] ?? "", /^[1-9]\d*$/)
              }
              for (const path of ["/livez", "/readyz"]) {
                assert.strictEqual((yield* get(path, { key: null })).status, 200)
              }
              assert.strictEqual(yield* inFlight, 2)
              return admitted
            }),
          )
          const answers = yield* Fiber.joinAll(admitted)
          assert.deepStrictEqual(answers.map(({ status }) => status), [201, 204])
          yield* untilInFlight(0)
          assertJson(yield* get("/v1/users"), 200)
        }))
    },
  )

  layer(testService({ answerTimeout: Duration.millis(300) }), { excludeTestServices: true })(
    "past its deadline",
    (it) => {
      it.effect("is answered 503 once, and its connection serves the next", () =>
        Effect.gen(function* () {
          const body = aUserBody()
          yield* whileHeld(
            lockUsers,
            Effect.scoped(Effect.gen(function* () {
              const socket = yield* open
              const [head, text] = creating(body)
              yield* socket.send(head.replace("Connection: close\r\n", "") + text)
              yield* socket.waitFor((received) => received.includes("}"))
              yield* untilInFlight(0)
              // Refused before the database is asked, which may take as long as the first.
              yield* socket.send(rawRequest("GET /v1/users/me"))
              const [late, next, ...others] = parseAnswers(yield* socket.received)
              assert.isDefined(late)
              if (late !== undefined) {
                assertProblem(late, 503, "database-unavailable")
                assert.match(late.headers["retry-after"] ?? "", /^[1-9]\d*$/)
              }
              assert.isDefined(next)
              if (next !== undefined) assertProblem(next, 400, "invalid-request")
              assert.deepStrictEqual(others, [])
            })),
          )
          const sql = yield* SqlClient.SqlClient
          const found = yield* sql`SELECT FROM users WHERE email = ${String(body["email"])}`
          assert.deepStrictEqual(found, [])
        }))
    },
  )
})
