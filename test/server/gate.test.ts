import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { connect } from "node:net"
import { assertProblem } from "../support/answers.ts"
import { address, call } from "../support/calls.ts"
import { eventually } from "../support/EmbeddedServer.ts"
import { open, parseAnswers } from "../support/RawSocket.ts"
import { keyWith, testService } from "../support/TestService.ts"

const lines = (...given: ReadonlyArray<string>) => [...given, "", ""].join("\r\n")

/** The head of a request for a new user; the body is left to the imagination. */
const headOf = (key: string | undefined, ...headers: ReadonlyArray<string>) =>
  lines(
    "POST /v1/users HTTP/1.1",
    "Host: localhost",
    ...(key === undefined ? [] : [`Authorization: Bearer ${key}`]),
    ...headers,
  )

const json = "Content-Type: application/json"
const chunked = "Transfer-Encoding: chunked"

/** The answer to a head alone, while its body is still awaited. */
const answerTo = (head: string) =>
  Effect.scoped(Effect.gen(function* () {
    const socket = yield* open
    yield* socket.send(head)
    const received = yield* socket.waitFor((text) => /\r\n\r\n.*\}$/s.test(text))
    const [answer] = parseAnswers(received)
    return answer ?? assert.fail("No answer")
  }))

for (const isTraced of [false, true]) {
  describe(isTraced ? "a request that is traced" : "a request", () => {
    layer(testService({}, { isTraced }), { excludeTestServices: true })("refused", (it) => {
      it.effect("for its key is refused before its body", () =>
        Effect.gen(function* () {
          for (
            const body of [[json, "Content-Length: 9"], [json, chunked], [chunked], [
              "Content-Length: 9",
            ]]
          ) {
            for (const type of [[], ["Content-Type: text/plain"]]) {
              const headers = body.includes(json) ? body : [...body, ...type]
              const unknown = yield* answerTo(headOf("nobody's", ...headers))
              assertProblem(unknown, 401, "unauthorized")
              assert.strictEqual(unknown.headers["www-authenticate"], "Bearer")
              assertProblem(yield* answerTo(headOf(undefined, ...headers)), 401, "unauthorized")
              assertProblem(
                yield* answerTo(headOf(keyWith("users:read"), ...headers)),
                403,
                "forbidden",
              )
            }
          }
        }))

      it.effect("for its path or method is refused before its body", () =>
        Effect.gen(function* () {
          const head = headOf(keyWith("*"), json, "Content-Length: 9")
          const nowhere = yield* answerTo(head.replace("/v1/users", "/v1/nowhere"))
          assertProblem(nowhere, 404, "not-found")
          const put = yield* answerTo(head.replace("POST", "PUT"))
          assertProblem(put, 405, "method-not-allowed")
          assert.strictEqual(put.headers["allow"], "GET, HEAD, POST")
        }))

      it.effect("for its length, type or coding is refused before its body", () =>
        Effect.gen(function* () {
          const key = keyWith("*")
          const long = yield* answerTo(headOf(key, json, "Content-Length: 262145"))
          assertProblem(long, 413, "body-too-large")
          assert.strictEqual(long.headers["connection"], "close")
          const text = yield* answerTo(headOf(key, "Content-Type: text/plain", "Content-Length: 9"))
          assertProblem(text, 415, "unsupported-media-type")
          for (const length of [chunked, "Content-Length: 9"]) {
            const coded = yield* answerTo(headOf(key, json, "Content-Encoding: gzip", length))
            assertProblem(coded, 415, "unsupported-media-type")
            assert.strictEqual(coded.headers["accept-encoding"], "identity")
          }
        }))

      it.effect("for the type of a body of unknown length is refused at its first byte", () =>
        Effect.gen(function* () {
          const head = headOf(keyWith("*"), "Content-Type: text/plain", chunked)
          assertProblem(yield* answerTo(`${head}1\r\n{\r\n`), 415, "unsupported-media-type")
        }))

      it.effect("gets its answer though it goes on sending its body", () =>
        Effect.gen(function* () {
          const target = yield* address
          const body = Buffer.alloc(2 ** 20, "x")
          for (const length of [chunked, `Content-Length: ${body.length}`]) {
            const socket = yield* Effect.acquireRelease(
              Effect.sync(() => connect({ ...target, allowHalfOpen: true })),
              (socket) => Effect.sync(() => socket.destroy()),
            )
            // Read from only when all is sent: a reset would have thrown the answer away by then.
            yield* Effect.callback<void, Error>((resume) => {
              socket.on("error", (error) => resume(Effect.fail(error)))
              socket.write(headOf(undefined, json, length))
              if (length === chunked) socket.write(`${body.length.toString(16)}\r\n`)
              socket.write(body, () => resume(Effect.void))
            })
            const received = yield* Effect.callback<string, Error>((resume) => {
              let text = ""
              socket.on("error", (error) => resume(Effect.fail(error)))
              socket.on("data", (chunk) => text += chunk)
              socket.on("end", () => resume(Effect.succeed(text)))
            })
            const [answer] = parseAnswers(received)
            assert.isDefined(answer)
            if (answer !== undefined) assertProblem(answer, 401, "unauthorized")
            assert.strictEqual(answer?.headers["connection"], "close")
          }
        }))
    })

    layer(testService({ maxRequestsInFlight: 1 }, { isTraced }), { excludeTestServices: true })(
      "beyond the bound",
      (it) => {
        it.effect("is refused before its body, but not before its key is looked at", () =>
          Effect.scoped(Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const [locked, done] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
            const lock = yield* sql`LOCK TABLE users IN ACCESS EXCLUSIVE MODE`.pipe(
              Effect.andThen(Deferred.succeed(locked, undefined)),
              Effect.andThen(Deferred.await(done)),
              sql.withTransaction,
              Effect.forkScoped,
            )
            yield* Deferred.await(locked)
            const first = yield* Effect.forkScoped(call("GET", "/v1/users"))
            const key = keyWith("*")
            yield* eventually(
              Effect.map(
                answerTo(headOf(key, json, "Content-Length: 0")),
                ({ status }) => status === 503,
              ),
            )
            for (
              const headers of [[json, "Content-Length: 99"], [json, chunked], [
                "Content-Type: text/plain",
                chunked,
              ]]
            ) {
              const refused = yield* answerTo(headOf(key, ...headers))
              assertProblem(refused, 503, "overloaded")
              assert.isAbove(Number(refused.headers["retry-after"]), 0)
              assertProblem(yield* answerTo(headOf("nobody's", ...headers)), 401, "unauthorized")
            }
            yield* Deferred.succeed(done, undefined)
            yield* Fiber.join(lock)
            assert.strictEqual((yield* Fiber.join(first)).status, 200)
          })))
      },
    )
  })
}
