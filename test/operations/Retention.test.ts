import { assert, layer } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Layer, Metric, Random, Schedule } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Fatal } from "../../src/background/Fatal.ts"
import * as Database from "../../src/database/Database.ts"
import { Maintenance } from "../../src/operations/Maintenance.ts"
import * as Retention from "../../src/operations/Retention.ts"
import { retentionLock } from "../../src/repositories/deleteInBatches.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { lockTable, query } from "../faults/support/Cluster.ts"
import { anAttempt, aToken, aUser } from "../support/factories.ts"
import { LogLines } from "../support/LogLines.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const remaining = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`
    SELECT
      (SELECT count(*)::int FROM refresh_tokens) AS tokens,
      (SELECT count(*)::int FROM login_attempts) AS attempts`
})

const retention = (interval: Duration.Duration) =>
  Layer.provide(
    Retention.layer({ interval, tokenDays: 7, attemptDays: 90 }),
    Maintenance.layer,
  )

/** Metrics, log and end of each test are its own. */
const Observed = Layer.mergeAll(
  LogLines.layer,
  Fatal.layer,
  Layer.sync(Metric.MetricRegistry, () => new Map()),
)

const countOf = (what: "runs" | "failures") =>
  Effect.map(PrometheusMetrics.format(), (text) =>
    Number(
      new RegExp(`^background_task_${what}_total\\{task="retention"\\} (\\d+)$`, "m").exec(text)
        ?.[1],
    ))

/** A moment that passes for the database too, whichever clock the test has. */
const realTurn = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))

const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.andThen(realTurn, condition), { until: (holds) => holds })

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("retention", (it) => {
  it.effect("a scheduled run deletes what is older than its days, and only one run at a time does", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      const user = yield* UserRepository.use((users) => users.create(aUser()))
      for (const days of [6, 8]) {
        const token = yield* tokens.create(aToken(user.id))
        yield* sql`
          UPDATE refresh_tokens SET expires_at = now() - make_interval(days => ${days})
          WHERE id = ${token.id}`
      }
      for (const days of [89, 91]) {
        const attempt = yield* attempts.create(anAttempt())
        yield* sql`
          UPDATE login_attempts SET attempted_at = now() - make_interval(days => ${days})
          WHERE id = ${attempt.id}`
      }

      const { connection } = yield* TestDatabase
      yield* SqlClient.SqlClient.use((replica) =>
        replica.withTransaction(
          Effect.gen(function* () {
            yield* replica`SELECT pg_advisory_xact_lock(${retentionLock})`
            assert.strictEqual(yield* tokens.deleteExpired(0, { exclusively: true }), 0)
            assert.strictEqual(yield* attempts.deleteOld(0, { exclusively: true }), 0)
          }),
        )
      ).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })))

      yield* remaining.pipe(
        Effect.repeat({
          until: ([row]) => row?.["tokens"] === 1 && row?.["attempts"] === 1,
          schedule: Schedule.spaced("20 millis"),
        }),
        Effect.timeout("5 minutes"),
        Effect.provide(retention(Duration.millis(20))),
      )
    }).pipe(Effect.provide(Observed)))

  it.effect("Retention.layer says once that a table cannot be cleaned, cleans the other, and goes on", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const lines = yield* LogLines
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      const user = yield* UserRepository.use((users) => users.create(aUser()))
      const token = yield* tokens.create(aToken(user.id))
      yield* sql`UPDATE refresh_tokens SET expires_at = '2020-01-01' WHERE id = ${token.id}`
      const attempt = yield* attempts.create(anAttempt())
      yield* sql`UPDATE login_attempts SET attempted_at = '2020-01-01' WHERE id = ${attempt.id}`

      yield* sql`ALTER TABLE refresh_tokens RENAME TO elsewhere`
      yield* Effect.gen(function* () {
        yield* until(Effect.map(countOf("failures"), (failures) => failures >= 3))
        yield* until(Effect.map(
          sql`SELECT FROM login_attempts WHERE id = ${attempt.id}`,
          (rows) => rows.length === 0,
        ))
        yield* sql`ALTER TABLE elsewhere RENAME TO refresh_tokens`
        yield* until(Effect.map(
          sql`SELECT FROM refresh_tokens WHERE id = ${token.id}`,
          (rows) => rows.length === 0,
        ))
        yield* until(Effect.sync(() => lines.includes("Info Retention runs succeed again")))
      }).pipe(Effect.provide(retention(Duration.millis(20))))
      assert.deepStrictEqual(lines.filter((line) => !line.includes("deleted expired rows")), [
        "Error Retention run failed: expired refresh tokens: Unexpected database error 42P01",
        "Info Retention runs succeed again",
      ])
    }).pipe(Effect.provide(Observed)))

  it.effect("Retention.layer ends at once while a deletion waits for a lock", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const ask = query(connection)
      const waiting = Effect.map(
        ask("SELECT FROM pg_locks WHERE relation = 'refresh_tokens'::regclass AND NOT granted"),
        (rows) => rows.length,
      )
      yield* Effect.scoped(Effect.gen(function* () {
        yield* lockTable(connection, "refresh_tokens", "ACCESS EXCLUSIVE")
        yield* Effect.provide(
          until(Effect.map(waiting, (sessions) => sessions === 1)),
          retention(Duration.millis(20)),
        )
        // The lock is still held: nothing but the end of the run has ended the wait for it.
        yield* until(Effect.map(waiting, (sessions) => sessions === 0))
        assert.strictEqual(yield* waiting, 0)
      }))
    }).pipe(Effect.provide(Observed)))
})

layer(TestDatabase.layerRepositories)("Retention.layer with an interval of a day", (it) => {
  it.effect("runs within a minute after the start, and then once a day, give or take a fifth", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const runsAfter = Effect.fnUntraced(function* (time: Duration.Input, runs: number) {
          yield* TestClock.adjust(time)
          yield* until(Effect.map(countOf("runs"), (count) => count === runs))
        })
        yield* runsAfter("1 minute", 1)
        yield* TestClock.adjust("19 hours")
        assert.strictEqual(yield* countOf("runs"), 1)
        yield* runsAfter("10 hours", 2)
        yield* runsAfter("29 hours", 3)
      }).pipe(Effect.provide(retention(Duration.days(1))))
    }).pipe(Effect.provide(Observed)))

  it.effect("begins at another moment in each replica", () =>
    Effect.gen(function* () {
      const startOf = Effect.fnUntraced(function* (seed: string) {
        const started = yield* Deferred.make<number>()
        // The database has no part in when a run begins.
        const maintenance = Maintenance.of({
          deleteExpiredTokens: () =>
            Effect.andThen(
              Effect.flatMap(Clock.currentTimeMillis, (now) => Deferred.succeed(started, now)),
              Effect.succeed(0),
            ),
          deleteOldLoginAttempts: () => Effect.succeed(0),
        })
        const begun = yield* Clock.currentTimeMillis
        return yield* Effect.andThen(TestClock.adjust("1 minute"), Deferred.await(started)).pipe(
          Effect.map((now) => now - begun),
          Effect.provide(Layer.provide(
            Retention.layer({ interval: Duration.days(1), tokenDays: 7, attemptDays: 90 }),
            Layer.succeed(Maintenance, maintenance),
          )),
          Effect.provide(Observed),
          Random.withSeed(seed),
        )
      })
      const starts = yield* Effect.forEach(["a", "b", "c"], startOf)
      assert.strictEqual(new Set(starts).size, 3)
    }))
})
