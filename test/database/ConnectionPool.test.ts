import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Fiber, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { query } from "../faults/support/Cluster.ts"
import { LogLines } from "../support/LogLines.ts"
import { asSuperuser } from "../support/roles.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** Ends with an error of this SQLSTATE, as a statement of ours could. */
const raise = (code: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}'; END $$`)
  )

/** The process at the server that a statement runs on. */
const processId = SqlClient.SqlClient.use((sql) =>
  sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
)
  .pipe(Effect.map(([row]) => row?.pid))

/** The same in a transaction. */
const processIdInTransaction = SqlClient.SqlClient.use((sql) => sql.withTransaction(processId))

const single = TestDatabase.use(({ connection }) =>
  Effect.succeed(Database.layer({ connection, maxConnections: 1, maxAge: Duration.seconds(30) }))
)
const Single = Layer.unwrap(single).pipe(Layer.fresh)

layer(TestDatabase.layer)("a connection of a pool", (it) => {
  it.effect.each(["08006", "57P01", "57P02", "57P03", "25P03", "26000", "42P05"])(
    "is replaced after an error of SQLSTATE %s, in a transaction too",
    (code) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const first = yield* processId
        assert.strictEqual(yield* processIdInTransaction, first)
        yield* Effect.flip(raise(code))
        const second = yield* processId
        assert.notStrictEqual(second, first)
        yield* Effect.flip(sql.withTransaction(raise(code)))
        assert.notStrictEqual(yield* processId, second)
      }).pipe(Effect.provide(Single)),
  )

  it.effect.each(["23505", "40001", "40P01", "42501", "55P03", "57014", "22P02", "P0001"])(
    "is kept after an error of SQLSTATE %s",
    (code) =>
      Effect.gen(function* () {
        const first = yield* processId
        yield* Effect.flip(raise(code))
        assert.strictEqual(yield* processId, first)
      }).pipe(Effect.provide(Single)),
  )

  it.effect("is replaced when it is in a failed transaction that is none of ours", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const first = yield* processId
      yield* sql`BEGIN`
      yield* Effect.flip(raise("P0001"))
      const { reason } = yield* Effect.flip(sql`SELECT 1`)
      assert.propertyVal(reason.cause, "code", "25P02")
      assert.notStrictEqual(yield* processId, first)
    }).pipe(Effect.provide(Single)))

  it.effect("is kept after a failed transaction of ours", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const first = yield* processId
      const { reason } = yield* Effect.ignore(raise("P0001")).pipe(
        Effect.andThen(sql`SELECT 1`),
        sql.withTransaction,
        Effect.flip,
      )
      assert.propertyVal(reason.cause, "code", "25P02")
      assert.strictEqual(yield* processId, first)
    }).pipe(Effect.provide(Single)))

  it.effect("that ends while nobody uses it costs no statement", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const first = yield* processId
      yield* asSuperuser(connection, `SELECT pg_terminate_backend(${first}, 60000)`)
      // The news is in the socket, and read before the answer to anything that is asked now.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.notStrictEqual(yield* processId, first)
    }).pipe(Effect.provide(Single)))

  it.effect("is replaced when a statement on it was to be cancelled", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const first = yield* processId
      const started = yield* Deferred.make<void>()
      const asleep = sql`SELECT pg_sleep(3600)`
      const fiber = yield* Effect.forkChild(
        Effect.andThen(Deferred.succeed(started, undefined), asleep),
      )
      yield* Deferred.await(started)
      const { connection } = yield* TestDatabase
      yield* Effect.repeat(
        query(connection)(
          "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)' AND state = 'active'",
        ),
        { until: (rows) => rows.length === 1 },
      )
      yield* Fiber.interrupt(fiber)
      assert.notStrictEqual(yield* processId, first)
    }).pipe(Effect.provide(Single)))

  it.effect("is replaced when it is too old, in a transaction too", () =>
    Effect.gen(function* () {
      const first = yield* processId
      yield* TestClock.adjust("26 seconds")
      assert.strictEqual(yield* processId, first)
      yield* TestClock.adjust("8 seconds")
      const second = yield* processId
      assert.notStrictEqual(second, first)
      yield* TestClock.adjust("34 seconds")
      assert.notStrictEqual(yield* processIdInTransaction, second)
    }).pipe(Effect.provide(Single)))

  it.effect("is replaced beside others, as many at once as there are", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      yield* Effect.gen(function* () {
        const many = Effect.all(
          Array.from(
            { length: 40 },
            (_, index) => index % 2 === 0 ? processId : processIdInTransaction,
          ),
          { concurrency: "unbounded" },
        )
        const before = new Set(yield* many)
        yield* TestClock.adjust("34 seconds")
        const after = new Set(yield* many)
        assert.isTrue(before.isDisjointFrom(after))
        assert.isAtMost(after.size, 4)
      }).pipe(Effect.provide(
        Database.layer({ connection, maxConnections: 4, maxAge: Duration.seconds(30) }),
      ))
    }))
})

layer(TestDatabase.layer)("the connections of all pools", (it) => {
  /** What an old primary is that lives on read-only after its name leads to another server. */
  const becomeReadOnly = SqlClient.SqlClient.use((sql) =>
    sql`SET default_transaction_read_only = on`
  )
  const write = SqlClient.SqlClient.use((sql) => sql`CREATE TABLE IF NOT EXISTS written ()`)

  it.effect("are replaced when one is read-only, and no more often than every five seconds", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      yield* Effect.gen(function* () {
        const beside = yield* Layer.build(Database.layerSecondPool("readiness", 1))
        const all = Effect.zip(processId, Effect.provideContext(processId, beside))
        const [main, other] = yield* all
        yield* becomeReadOnly
        yield* Effect.provideContext(becomeReadOnly, beside)
        const { reason } = yield* Effect.flip(write)
        assert.propertyVal(reason.cause, "code", "25006")

        // No second failure in either.
        yield* write
        yield* Effect.provideContext(write, beside)
        const [mainNow, otherNow] = yield* all
        assert.notStrictEqual(mainNow, main)
        assert.notStrictEqual(otherNow, other)

        yield* becomeReadOnly
        yield* Effect.flip(write)
        yield* Effect.flip(write)
        assert.strictEqual(yield* processId, mainNow)
        yield* TestClock.adjust("5 seconds")
        yield* Effect.flip(write)
        yield* write
      }).pipe(Effect.provide(Single))
      const replaced = lines.filter((line) => line.includes("its connections are replaced"))
      assert.strictEqual(replaced.length, 1)
      assert.include(replaced[0], "Warn The database is read-only; ")
    }).pipe(Effect.provide(LogLines.layer)))
})

layer(TestDatabase.layer)("a missing right", (it) => {
  it.effect("is told once a minute, in PostgreSQL's own words and in no others", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`SET ROLE pg_monitor`
        yield* Effect.flip(sql`SELECT FROM users`)
        yield* Effect.flip(sql`SELECT FROM refresh_tokens`)
        yield* TestClock.adjust("1 minute")
        yield* Effect.flip(
          sql`DO $$ BEGIN RAISE EXCEPTION 'secret-hash' USING ERRCODE = '42501'; END $$`,
        )
      }).pipe(Effect.provide(Single))
      assert.strictEqual(lines.length, 2)
      assert.include(lines[0], "permission denied for table users (42501)")
      assert.notInclude(lines.join(), "refresh_tokens")
      assert.notInclude(lines.join(), "secret-hash")
    }).pipe(Effect.provide(LogLines.layer)))
})

layer(TestDatabase.layerClient)("PgClient of a pool", (it) => {
  it.effect("has the driver's JSON, LISTEN and NOTIFY, streams and values", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      assert.deepStrictEqual(yield* sql`SELECT ${sql.json({ a: [1] })} AS json`, [
        { json: { a: [1] } },
      ])
      assert.deepStrictEqual(yield* sql`SELECT 1, 2`.values, [[1, 2]])
      const rows = yield* Stream.runCollect(sql`SELECT generate_series(1, 3) AS n`.stream)
      assert.deepStrictEqual(rows, [{ n: 1 }, { n: 2 }, { n: 3 }])
      const queue = yield* sql.listen("latchkey_test")
      yield* sql.notify("latchkey_test", "hello")
      assert.strictEqual((yield* Queue.take(queue)).payload, "hello")
    }).pipe(Effect.scoped))

  it.effect("does not take a transaction for committed in which a statement failed", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const error = yield* Effect.ignore(raise("P0001")).pipe(
        sql.withTransaction,
        Effect.sandbox,
        Effect.flip,
      )
      assert.include(Cause.pretty(error), "COMMIT of a transaction that had failed")
    }))
})
