import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { assertProblem } from "../support/answers.ts"
import { call, get, post } from "../support/calls.ts"
import { untilWaiting } from "../support/elsewhere.ts"
import { eventually } from "../support/EmbeddedServer.ts"
import { testService } from "../support/TestService.ts"

const newUser = () => ({
  email: `user-${crypto.randomUUID()}@example.com`,
  authProvider: "email",
  passwordHash: "hash",
})

/** Holds the table, so that requests that write to it wait, until the inner effect is done. */
const holding = <A, E, R>(inner: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const held = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const holder = yield* sql`LOCK TABLE users IN EXCLUSIVE MODE`.pipe(
      Effect.andThen(Deferred.succeed(held, undefined)),
      Effect.andThen(Deferred.await(done)),
      sql.withTransaction,
      Effect.forkScoped,
    )
    yield* Deferred.await(held)
    const result = yield* inner
    yield* Deferred.succeed(done, undefined)
    yield* Fiber.join(holder)
    return result
  })

describe("admission", () => {
  layer(testService({ maxRequestsInFlight: 2 }), { excludeTestServices: true })(
    "overload",
    (it) => {
      it.effect("turns requests away at once beyond the bound, while health and metrics answer", () =>
        holding(Effect.gen(function* () {
          const admitted = yield* Effect.forkScoped(
            Effect.all([post("/v1/users", newUser()), post("/v1/users", newUser())], {
              concurrency: "unbounded",
            }),
          )
          yield* untilWaiting(2)
          const refused = yield* get("/v1/users")
          assertProblem(refused, 503, "overloaded")
          assert.match(refused.headers["retry-after"] ?? "", /^[1-9]\d*$/)
          assert.strictEqual((yield* get("/livez", { key: null })).status, 200)
          assert.strictEqual((yield* get("/readyz", { key: null })).status, 200)
          const { text } = yield* get("/metrics", { key: null })
          assert.include(text, "latchkey_http_requests_in_flight 2")
          return admitted
        })).pipe(
          Effect.flatMap(Fiber.join),
          Effect.andThen((answers) =>
            Effect.gen(function* () {
              assert.deepStrictEqual(answers.map(({ status }) => status), [201, 201])
              assert.strictEqual((yield* get("/v1/users")).status, 200)
            })
          ),
        ))
    },
  )

  layer(testService({ answerTimeout: Duration.millis(300) }), { excludeTestServices: true })(
    "deadline",
    (it) => {
      it.effect("an answer that takes too long is 503, and what waited is free again", () =>
        Effect.gen(function* () {
          const answer = yield* holding(post("/v1/users", newUser()))
          assertProblem(answer, 503, "database-unavailable")
          assert.match(answer.headers["retry-after"] ?? "", /^[1-9]\d*$/)
          yield* untilWaiting(0)
          // Each has as little time as the one before, which a busy machine may need for itself.
          yield* eventually(
            Effect.map(post("/v1/users", newUser()), ({ status }) => status === 201),
          )
        }))

      it.effect("a clean-up may take longer than other answers", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_sleep(0.5); RETURN OLD; END'`
          yield* sql`
            CREATE TRIGGER slow BEFORE DELETE ON login_attempts
            FOR EACH ROW EXECUTE FUNCTION slow()`
          yield* sql`
            INSERT INTO login_attempts (email, ip_address, success, attempted_at)
            VALUES ('old@example.com', '192.0.2.1', false, now() - interval '91 days')`
          const answer = yield* call("POST", "/v1/maintenance/delete-old-login-attempts")
          assert.deepStrictEqual(answer.json, { deleted: 1 })
        }))
    },
  )
})
