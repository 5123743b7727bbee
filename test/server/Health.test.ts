import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { type Answer, assertJson, assertProblem } from "../support/answers.ts"
import { anAttemptBody, aUserBody } from "../support/bodies.ts"
import { call, get, post } from "../support/calls.ts"
import { eventually } from "../support/EmbeddedServer.ts"
import { serverConnection, TestDatabase } from "../support/TestDatabase.ts"
import { TestService } from "../support/TestService.ts"

layer(TestService)("health", (it) => {
  it.effect("says that the process lives and the service is ready, without a key", () =>
    Effect.gen(function* () {
      for (const path of ["/livez", "/readyz"]) {
        assert.deepStrictEqual(assertJson(yield* get(path, { key: null }), 200), { status: "ok" })
        const head = yield* call("HEAD", path, { key: null })
        assert.strictEqual(head.status, 200)
        assert.strictEqual(head.text, "")
      }
    }))

  it.effect("gives metrics in Prometheus' text format, without a key", () =>
    Effect.gen(function* () {
      const answer = yield* get("/metrics", { key: null })
      assert.strictEqual(answer.status, 200)
      assert.match(String(answer.headers["content-type"]), /^text\/plain; version=0\.0\.4/)
      assert.strictEqual((yield* call("HEAD", "/metrics", { key: null })).status, 200)
    }))

  it.effect("ignores a key and a query", () =>
    Effect.gen(function* () {
      assertJson(yield* get("/livez?probe=1", { key: "nonsense" }), 200)
      assertJson(yield* get("/readyz?probe=1", { key: "nonsense" }), 200)
      assert.strictEqual((yield* get("/metrics?probe=1", { key: "nonsense" })).status, 200)
    }))
})

/** Changes the test's database, and ends the connections that still know it as it was. */
const alterDatabase = Effect.fnUntraced(function* (change: string) {
  const { connection } = yield* TestDatabase
  const server = Database.layer({ connection: yield* serverConnection, maxConnections: 1 })
  yield* Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const database = String(connection.database)
    yield* sql`ALTER DATABASE ${sql(database)} ${sql.literal(change)}`
    yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${database}`
  }).pipe(Effect.provide(server))
})

const assertRetryLater = (answer: Answer) =>
  assert.match(String(answer.headers["retry-after"]), /^[1-9]\d*$/)

layer(TestService, { excludeTestServices: true })("a database that lets nobody in", (it) => {
  it.effect("makes the service live but not ready", () =>
    Effect.gen(function* () {
      yield* alterDatabase("WITH ALLOW_CONNECTIONS false")
      assertJson(yield* get("/livez", { key: null }), 200)
      const answer = yield* get("/readyz", { key: null })
      assertProblem(answer, 503, "not-ready")
      assert.strictEqual(answer.json["detail"], "database-unreachable")
      assertRetryLater(answer)
      assert.strictEqual((yield* call("HEAD", "/readyz", { key: null })).status, 503)
      assertProblem(yield* get("/v1/users/me"), 400, "invalid-request")
      assertProblem(yield* get("/v1/users", { key: null }), 401, "unauthorized")
    }))
})

layer(TestService, { excludeTestServices: true })("a database that is read-only", (it) => {
  it.effect("is unavailable for writes, for now", () =>
    Effect.gen(function* () {
      yield* alterDatabase("SET default_transaction_read_only = on")
      // The first statement on a connection that was ended tells of that instead.
      yield* eventually(Effect.map(get("/v1/users"), ({ status }) => status === 200))
      const health = yield* get("/readyz", { key: null })
      assertProblem(health, 503, "not-ready")
      assert.strictEqual(health.json["detail"], "database-read-only")
      for (
        const [path, body] of [["/v1/users", aUserBody()], [
          "/v1/login-attempts",
          anAttemptBody(),
        ]] as const
      ) {
        const answer = yield* post(path, body)
        assertProblem(answer, 503, "database-unavailable")
        assertRetryLater(answer)
      }
    }))
})

const inBlock = (...statements: ReadonlyArray<string>) =>
  `DO $$ BEGIN ${statements.join("; ")}; END $$`

/** What makes the service unready, what undoes that, and the reason. */
const changes: ReadonlyArray<readonly [reason: string, change: string, back: string]> = [
  [
    "migrations-pending",
    inBlock(
      "CREATE TABLE kept AS SELECT * FROM latchkey_migrations ORDER BY id DESC LIMIT 1",
      "DELETE FROM latchkey_migrations WHERE id = (SELECT id FROM kept)",
    ),
    inBlock("INSERT INTO latchkey_migrations SELECT * FROM kept", "DROP TABLE kept"),
  ],
  [
    "migrations-differ",
    "UPDATE latchkey_migrations SET sha256 = 'not ' || sha256",
    "UPDATE latchkey_migrations SET sha256 = replace(sha256, 'not ', '')",
  ],
  [
    "database-ahead",
    "INSERT INTO latchkey_migrations VALUES (9999, 'later', 'none', now(), 1, '99.0.0', NULL)",
    "DELETE FROM latchkey_migrations WHERE id = 9999",
  ],
  [
    "schema-differs",
    "ALTER TABLE login_attempts RENAME TO attempts",
    "ALTER TABLE attempts RENAME TO login_attempts",
  ],
]

layer(TestService, { excludeTestServices: true })("a database that is not as it must be", (it) => {
  it.effect("makes the service not ready, and says no more than the name of the reason", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      for (const [reason, change, back] of changes) {
        yield* sql.unsafe(change)
        const answer = yield* get("/readyz", { key: null })
        assertProblem(answer, 503, "not-ready")
        assert.hasAllKeys(answer.json, ["type", "title", "status", "detail"])
        assert.strictEqual(answer.json["detail"], reason)
        yield* sql.unsafe(back)
        assertJson(yield* get("/readyz", { key: null }), 200)
      }
    }))
})
