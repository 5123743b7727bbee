import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Database from "../../src/database/Database.ts"
import { Outages } from "../../src/database/Outages.ts"
import * as Proxy from "../faults/support/Proxy.ts"
import { LogLines } from "../support/LogLines.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** As the server or, with the system's code, the network fails. */
const failure = (code: string) => {
  const reason = { cause: { code }, operation: "query" }
  return new SqlError.SqlError({
    reason: code.startsWith("E")
      ? new SqlError.ConnectionError(reason)
      : new SqlError.UnknownError(reason),
  })
}

const make = Effect.map(Clock.Clock, (clock) => {
  const outages = new Outages(clock)
  return {
    fail: (code: string) => Effect.suspend(() => outages.failed(failure(code))),
    succeed: Effect.suspend(() => outages.succeeded),
  }
})

describe("the log of outages", () => {
  it.effect("has an entry when one begins, ever fewer while it lasts, and one when it is over", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const { fail, succeed } = yield* make
      yield* succeed
      yield* fail("57P01")
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("50 millis"), fail("ECONNREFUSED")), {
        times: 199,
      })
      yield* succeed
      yield* succeed
      assert.deepStrictEqual(lines, [
        "Warn Statements fail for an outage of the database (57P01)",
        "Warn Statements still fail for an outage of the database (ECONNREFUSED): 21 statements in 1.0 s",
        "Warn Statements still fail for an outage of the database (ECONNREFUSED): 61 statements in 3.0 s",
        "Warn Statements still fail for an outage of the database (ECONNREFUSED): 141 statements in 7.0 s",
        "Info Statements succeed again after an outage of the database of 10.0 s (57P01, ECONNREFUSED), " +
        "which 201 statements failed for",
      ])
    }).pipe(Effect.provide(LogLines.layer)))

  it.effect("says nothing of errors that are no outage", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const { fail, succeed } = yield* make
      yield* Effect.forEach(
        ["23505", "40001", "40P01", "55P03", "57014", "42501", "22P02", "P0001", "XX000"],
        fail,
      )
      yield* succeed
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(LogLines.layer)))

  it.effect("takes writes that fail among reads that succeed for one", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const { fail, succeed } = yield* make
      yield* Effect.repeat(
        fail("53100").pipe(
          Effect.andThen(TestClock.adjust("100 millis")),
          Effect.andThen(succeed),
        ),
        { times: 99 },
      )
      assert.isAtMost(lines.length, 6, lines.join("\n"))
      yield* TestClock.adjust("10 seconds")
      yield* succeed
      assert.match(
        lines.at(-1) ?? "",
        /^Info Statements succeed again .* of 9\.9 s \(53100\), which 100 statements failed for$/,
      )
      yield* TestClock.adjust("10 seconds")
      yield* fail("53100")
      assert.strictEqual(lines.at(-1), "Warn Statements fail for an outage of the database (53100)")
    }).pipe(Effect.provide(LogLines.layer)))
})

layer(TestDatabase.layer, { excludeTestServices: true })("an outage of all pools", (it) => {
  it.effect("is told once, with what it is and how many statements it cost", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const { connection } = yield* TestDatabase
      const { sslFallback: _, ...server } = connection
      const proxy = yield* Proxy.make(connection)
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const beside = yield* Effect.provide(
          SqlClient.SqlClient,
          Layer.fresh(Database.layerSecondPool("readiness", 1)),
        )
        const all = Effect.all(
          [sql`SELECT 1`, sql.withTransaction(sql`SELECT 1`), beside`SELECT 1`].map((statement) =>
            Effect.exit(statement)
          ),
          { concurrency: "unbounded" },
        )
        yield* all
        yield* proxy.behave({ _tag: "Reset" })
        yield* proxy.reset
        yield* Effect.repeat(all, {
          until: (exits) => exits.every((exit) => exit._tag === "Failure"),
        })
        yield* proxy.behave({ _tag: "Pass" })
        yield* Effect.retry(sql`SELECT 1`, Schedule.spaced("10 millis"))
      }).pipe(
        Effect.scoped,
        Effect.provide(Database.layer({
          connection: { ...server, ssl: false, host: "127.0.0.1", port: proxy.port },
        })),
      )
      const told = lines.filter((line) => !line.includes("still fail"))
      assert.lengthOf(told, 2, lines.join("\n"))
      assert.match(told[0] ?? "", /^Warn Statements fail for an outage of the database \([\w ]+\)$/)
      assert.match(
        told[1] ?? "",
        /^Info Statements succeed again .* which \d+ statements failed for$/,
      )
    }).pipe(Effect.provide(LogLines.layer)))
})
