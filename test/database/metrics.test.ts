import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric, Schedule } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { SqlClient } from "effect/sql"
import * as Batcher from "../../src/database/batching/Batcher.ts"
import { retryConflicts } from "../../src/database/Constraints.ts"
import * as Database from "../../src/database/Database.ts"
import { addMetrics } from "../../src/operations/Metrics.ts"
import * as Promtool from "../support/Promtool.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const format = PrometheusMetrics.format({ prefix: "latchkey" })

/** The values of what is about the database, by their series. */
const series = Effect.map(format, (text) =>
  Object.fromEntries(
    text.split("\n").filter((line) => line.startsWith("latchkey_database_")).map((line) => {
      const end = line.lastIndexOf(" ")
      return [line.slice("latchkey_database_".length, end), Number(line.slice(end + 1))]
    }),
  ))

const raise = (code: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}'; END $$`)
  )

layer(TestDatabase.layer, { excludeTestServices: true })("the metrics of the database", (it) => {
  it.effect("count connections, waits, statements and batches, as Prometheus would have them", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`SELECT 1`
        const before = yield* series
        assert.deepInclude(before, {
          'connections{pool="requests",state="in_use"}': 0,
          'connections{pool="requests",state="idle"}': 1,
          'connections_max{pool="requests"}': 1,
          'connections_opened_total{pool="requests"}': 1,
          'connection_failures_total{pool="requests",reason="network"}': 0,
          'connection_wait_seconds_count{pool="requests"}': 1,
          'statements_total{outcome="ok"}': 1,
        })

        // One has the connection, another waits for it.
        const held = yield* Deferred.make<void>()
        const holder = yield* Effect.forkChild(sql.withTransaction(Deferred.await(held)))
        const isInUse = Effect.map(
          series,
          (now) => now['connections{pool="requests",state="in_use"}'] === 1,
        )
        yield* Effect.repeat(isInUse, { until: (is) => is, schedule: Schedule.spaced("1 millis") })
        const waiter = yield* Effect.forkChild(sql`SELECT 2`)
        const isWaiting = Effect.map(
          series,
          (now) => now['connection_requests_waiting{pool="requests"}'] === 1,
        )
        yield* Effect.repeat(isWaiting, {
          until: (is) => is,
          schedule: Schedule.spaced("1 millis"),
        })
        yield* Deferred.succeed(held, undefined)
        yield* Fiber.join(holder)
        yield* Fiber.join(waiter)
        yield* Effect.flip(raise("23505"))
        yield* Effect.flip(raise("P0001"))
        yield* Effect.flip(retryConflicts(raise("40P01")))

        const batched = yield* Batcher.make({
          sql,
          name: "test.lookup",
          reads: true,
          single: (call: number) => Effect.as(sql`SELECT 3`, call),
          batch: (calls: ReadonlyArray<number>) =>
            Effect.as(sql`SELECT 4`, calls.map(Batcher.done)),
          decode: Effect.succeed,
        })
        yield* Effect.forEach([1, 2, 3], batched, { concurrency: "unbounded" })

        const after = yield* series
        assert.deepInclude(after, {
          'connections{pool="requests",state="in_use"}': 0,
          'connection_requests_waiting{pool="requests"}': 0,
          'statements_total{outcome="error",sqlstate_class="23"}': 1,
          'statements_total{outcome="error",sqlstate_class="P0"}': 1,
          'statements_total{outcome="error",sqlstate_class="40"}': 4,
          'retries_total{reason="deadlock"}': 3,
          'batch_size_bucket{operation="test.lookup",le="1"}': 1,
          'batch_size_bucket{operation="test.lookup",le="2"}': 2,
          'batch_size_sum{operation="test.lookup"}': 3,
        })
        const waits = 'connection_wait_seconds_count{pool="requests"}'
        const waitedLong = 'connection_wait_seconds_sum{pool="requests"}'
        assert.isAbove(after[waits] ?? 0, before[waits] ?? 0)
        assert.isAbove(after[waitedLong] ?? 0, before[waitedLong] ?? 0)
      }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })))
      const { 'connections_max{pool="requests"}': left } = yield* series
      assert.isUndefined(left)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect.runIf(Promtool.isInstalled)(
    "are named as promtool wants them, of several threads too",
    () =>
      Effect.gen(function* () {
        const { connection } = yield* TestDatabase
        yield* Effect.gen(function* () {
          yield* Effect.flip(raise("23505"))
          yield* Effect.flip(retryConflicts(raise("40P01")))
          const text = yield* format
          assert.include(text, "latchkey_database_retries_total")
          const input = addMetrics([text, text])
          const { said } = yield* Promtool.run(["check", "metrics"], { input })
          assert.strictEqual(said, "")
        }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })))
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())),
  )

  it.effect("count servers that were not taken, and statements that could not be sent", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      yield* Effect.gen(function* () {
        const { takeUp } = yield* Database.ConnectionSource
        const sql = yield* SqlClient.SqlClient
        yield* takeUp({ ...connection, username: "latchkey_nobody" })
        yield* Effect.flip(sql`SELECT 1`)
        assert.deepInclude(yield* series, {
          'connection_failures_total{pool="requests",reason="credentials"}': 1,
          'statements_total{outcome="error",sqlstate_class="28"}': 1,
          'connection_wait_seconds_count{pool="requests"}': 1,
        })
      }).pipe(Effect.provide(Database.layer({ connection })))
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
