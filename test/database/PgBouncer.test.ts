import { NodeServices } from "@effect/platform-node"
import { assert, describe, layer } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import * as Database from "../../src/database/Database.ts"
import { pinnedSettings } from "../../src/database/SessionSettings.ts"
import * as DatabaseUrl from "../../src/database/url/DatabaseUrl.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { aToken, aUser } from "../support/factories.ts"
import * as PgBouncer from "../support/PgBouncer.ts"
import { asSuperuser } from "../support/roles.ts"
import { makeDatabase } from "../support/TestDatabase.ts"

const timeouts = {
  statementTimeout: Duration.seconds(3),
  lockTimeout: Duration.seconds(1),
  idleInTransactionTimeout: Duration.seconds(10),
}

const parse = (url: string) =>
  DatabaseUrl.parse(Redacted.make(url)).pipe(
    Effect.map(({ parameters }) => parameters),
    Effect.provide(NodeServices.layer),
  )

/** A migrated database whose commits are durable, which the server of the tests does not do by itself. */
const aDatabase = Effect.gen(function* () {
  const connection = yield* makeDatabase(inject("template"))
  yield* setDefaults(connection, { synchronous_commit: "on" })
  return connection
})

const setDefaults = (
  connection: { readonly database: string },
  settings: Readonly<Record<string, string>>,
) =>
  asSuperuser(
    connection,
    ...Object.entries(settings).map(([name, value]) =>
      `ALTER DATABASE "${connection.database}" SET ${name} = ${
        name === "search_path" ? value : `'${value}'`
      }`
    ),
  )

/** What a service says at its start. */
const failureOf = (url: string) =>
  Effect.flatMap(
    parse(url),
    (connection) =>
      Effect.flip(Effect.scoped(Layer.build(Database.layer({ connection, ...timeouts })))),
  )

const warningsOf = (url: string) =>
  Effect.flatMap(parse(url), (connection) =>
    Effect.provide(
      Database.ConnectionSource.use(({ warnings }) => Effect.succeed(warnings)),
      Database.layer({ connection, ...timeouts }),
    ))

/** The statement that a message tells to run. */
const adviceIn = (message: string) => /run (ALTER ROLE .*?); and have/i.exec(message)?.[1] ?? ""

/** Every startup parameter that a direct connection is made with. */
const ours = [
  // In the driver's spelling.
  ...Object.keys(pinnedSettings).map((name) => name.toLowerCase()),
  "plan_cache_mode",
  "random_page_cost",
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout",
]

describe.runIf(PgBouncer.isInstalled)("behind PgBouncer", () => {
  layer(Layer.empty, { excludeTestServices: true })("in transaction mode", (it) => {
    it.effect("the repositories work, many at once, transactions included", () =>
      Effect.gen(function* () {
        const database = yield* aDatabase
        const url = yield* PgBouncer.start(database, { mode: "transaction" })
        const connection = yield* parse(`${url}&pgbouncer=true`)
        yield* Effect.gen(function* () {
          const users = yield* UserRepository
          const tokens = yield* RefreshTokenRepository
          const sql = yield* SqlClient.SqlClient
          const created = yield* Effect.forEach(
            Array.from({ length: 40 }),
            () => users.create(aUser()),
            { concurrency: "unbounded" },
          )
          yield* Effect.forEach(created, (user) =>
            Effect.gen(function* () {
              yield* tokens.create(aToken(user.id))
              assert.strictEqual(yield* tokens.revokeAllForUser(user.id), 1)
              assert.isTrue(Option.isSome(yield* users.getById(user.id)))
            }), { concurrency: "unbounded" })
          const rows = yield* sql`
            SELECT count(*)::int AS count FROM refresh_tokens WHERE revoked_at IS NOT NULL`
          assert.deepStrictEqual(rows, [{ count: 40 }])
        }).pipe(
          Effect.provide(Layer.mergeAll(UserRepository.layer, RefreshTokenRepository.layer)),
          Effect.provide(Database.layer({ connection, maxConnections: 8 })),
        )
      }))

    it.effect("a URL that does not say so is refused where the pooler drops settings", () =>
      Effect.gen(function* () {
        const url = yield* PgBouncer.start(yield* aDatabase, { mode: "transaction", ignored: ours })
        const error = yield* failureOf(url)
        assert.strictEqual(error.reason, "settings")
        assert.match(error.message, /add pgbouncer=true to the URL/)
      }))

    it.effect("a URL that does not say so is refused where the pooler refuses settings", () =>
      Effect.gen(function* () {
        const error = yield* failureOf(
          yield* PgBouncer.start(yield* aDatabase, { mode: "transaction" }),
        )
        assert.match(error.message, /add pgbouncer=true to the URL \(08P01\)/)
      }))

    it.effect("a URL that does not say so is refused where all settings happen to be right", () =>
      Effect.gen(function* () {
        const database = yield* aDatabase
        yield* setDefaults(database, {
          ...pinnedSettings,
          statement_timeout: "3s",
          lock_timeout: "1s",
          idle_in_transaction_session_timeout: "10s",
        })
        const url = yield* PgBouncer.start(database, { mode: "transaction", ignored: ours })
        const error = yield* failureOf(url)
        assert.match(error.message, /a pooler in transaction mode .* add pgbouncer=true to the URL/)
      }))

    it.effect.each(
      [
        ["default_transaction_isolation", "repeatable read"],
        ["search_path", "other, public"],
        ["search_path", "''"],
        ["session_replication_role", "replica"],
        ["synchronous_commit", "off"],
      ] as const,
    )(
      "a default of %s = %s is refused, and the statement in the message mends it",
      ([name, value]) =>
        Effect.gen(function* () {
          const database = yield* aDatabase
          yield* asSuperuser(database, "CREATE SCHEMA other")
          yield* setDefaults(database, { [name]: value })
          const url = `${yield* PgBouncer.start(database, { mode: "transaction" })}&pgbouncer=true`
          const error = yield* failureOf(url)
          assert.strictEqual(error.reason, "settings")
          assert.include(error.message, `${name} is "`)
          yield* Effect.acquireRelease(
            asSuperuser(yield* makeDatabase(), adviceIn(error.message)),
            () => asSuperuser(database, adviceIn(error.message).replace(/SET .*/, "RESET ALL")),
          )
          const again = `${yield* PgBouncer.start(database, {
            mode: "transaction",
          })}&pgbouncer=true`
          yield* warningsOf(again)
        }),
    )

    it.effect("settings that the server does not have are warned of, with what sets them", () =>
      Effect.gen(function* () {
        const database = yield* aDatabase
        const start = Effect.map(
          PgBouncer.start(database, { mode: "transaction" }),
          (url) => `${url}&pgbouncer=true`,
        )
        const warnings = (yield* warningsOf(yield* start)).filter((text) => text.includes("pooler"))
        assert.strictEqual(warnings.length, 2)
        assert.include(
          warnings[0],
          "statement_timeout, lock_timeout, idle_in_transaction_session_timeout cannot be set",
        )
        assert.include(warnings[1], "row_security cannot be set")
        const statements = warnings.flatMap((warning) => adviceIn(warning).split("; "))
        assert.strictEqual(statements.length, 4)
        yield* Effect.acquireRelease(
          asSuperuser(database, ...statements),
          () => asSuperuser(database, statements.join().replace(/ SET .*/, " RESET ALL")),
        )
        const url = yield* start
        assert.notInclude((yield* warningsOf(url)).join(), "pooler")
        const connection = yield* parse(url)
        const error = yield* SqlClient.SqlClient.use((sql) => sql`SELECT pg_sleep(60)`).pipe(
          Effect.provide(Database.layer({ connection })),
          Effect.flip,
        )
        assert(error._tag === "SqlError")
        assert.strictEqual(error.reason._tag, "StatementTimeoutError")
      }))
  })

  layer(Layer.empty, { excludeTestServices: true })("in session mode", (it) => {
    it.effect("a URL works as it would without a pooler, if the settings arrive", () =>
      Effect.gen(function* () {
        const database = yield* aDatabase
        yield* setDefaults(database, pinnedSettings)
        const url = yield* PgBouncer.start(database, { mode: "session", ignored: ours })
        const connection = yield* parse(url)
        const rows = yield* SqlClient.SqlClient.use((sql) => sql`SELECT 1 AS one`).pipe(
          Effect.provide(Database.layer({ connection })),
        )
        assert.deepStrictEqual(rows, [{ one: 1 }])
      }))
  })
})
