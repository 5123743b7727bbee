import { assert, describe, layer } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import { interpretErrors } from "../../src/database/Constraints.ts"
import * as Database from "../../src/database/Database.ts"
import { pinnedSettings } from "../../src/database/SessionSettings.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { blockedSession, tokensElsewhere } from "../support/elsewhere.ts"
import { aToken } from "../support/factories.ts"
import { LogLines } from "../support/LogLines.ts"
import { aRole, aServiceRole, asSuperuser } from "../support/roles.ts"
import { aSavedToken } from "../support/saved.ts"
import { makeDatabase, serverConnection, TestDatabase } from "../support/TestDatabase.ts"

/** What a session has for each setting. */
const settings = (names: ReadonlyArray<string>) =>
  SqlClient.SqlClient.use((sql) =>
    sql<{ readonly name: string; readonly setting: string }>`
      SELECT name, setting FROM pg_settings WHERE name = ANY(${names})`
  ).pipe(Effect.map((rows) => Object.fromEntries(rows.map((row) => [row.name, row.setting]))))

/** What connecting fails with. */
const failureOf = (options: Database.DatabaseOptions) =>
  Effect.flip(Effect.scoped(Layer.build(Database.layer(options))))

/** Values that each pinned setting must not have. */
const others: Readonly<Record<string, string>> = {
  default_transaction_isolation: "'serializable'",
  default_transaction_deferrable: "on",
  search_path: "theirs, public",
  client_encoding: "'LATIN1'",
  row_security: "on",
  standard_conforming_strings: "off",
  TimeZone: "'Asia/Tokyo'",
  DateStyle: "'German'",
  IntervalStyle: "'iso_8601'",
  bytea_output: "'escape'",
  extra_float_digits: "-3",
}

const setDefaults = (
  connection: ConnectionParameters,
  owner: string,
  values: Readonly<Record<string, string>>,
) =>
  asSuperuser(
    connection,
    ...Object.entries(values).map(([name, value]) => `ALTER ${owner} SET ${name} = ${value}`),
  )

layer(TestDatabase.layer, { excludeTestServices: true })("a session", (it) => {
  it.effect("has what is pinned, whatever role and database set by default, in every pool", () =>
    Effect.gen(function* () {
      const connection = yield* aRole(yield* makeDatabase())
      assert.hasAllKeys(others, Object.keys(pinnedSettings))
      const owner = `"${connection.database}"`
      yield* setDefaults({ ...yield* serverConnection }, `DATABASE ${owner}`, others)
      yield* setDefaults(yield* serverConnection, `ROLE ${connection.username}`, others)
      yield* Effect.gen(function* () {
        const names = Object.keys(pinnedSettings)
        assert.deepStrictEqual(yield* settings(names), pinnedSettings)
        assert.deepStrictEqual(
          yield* Effect.provide(settings(names), Database.layerSecondPool("readiness", 1)),
          pinnedSettings,
        )
      }).pipe(Effect.provide(Database.layer({ connection })))
    }))

  it.effect.each(Object.entries(others))(
    "whose options set %s to %s is refused by name",
    ([name, quoted]) =>
      Effect.gen(function* () {
        const value = quoted.replaceAll("'", "")
        const connection = yield* serverConnection
        const escaped = value.replaceAll(" ", "\\ ")
        for (
          const explicit of [
            { startupOptions: `-c geqo=off -c ${name}=${escaped}` },
            { startupOptions: `--${name.toLowerCase().replaceAll("_", "-")}=${escaped}` },
            { startupParameters: { [name]: value } },
          ]
        ) {
          const error = yield* failureOf({ connection: { ...connection, ...explicit } })
          assert.strictEqual(error.reason, "settings")
          assert.include(error.message, `its options set ${name} to "${value}"`)
        }
      }),
  )

  it.effect("takes options that set what is pinned to the same, and others as they are", () =>
    Effect.gen(function* () {
      const connection = {
        ...yield* serverConnection,
        startupOptions:
          "-c search_path=public,pg_temp -c TimeZone=utc -c work_mem=1MB -c random_page_cost=3",
      }
      const found = yield* Effect.provide(
        settings(["work_mem", "random_page_cost", "plan_cache_mode"]),
        Database.layer({ connection }),
      )
      assert.deepStrictEqual(found, {
        work_mem: "1024",
        random_page_cost: "3",
        plan_cache_mode: "force_generic_plan",
      })
    }))

  it.effect("warns of a timeout in the options that another setting overrides", () =>
    Effect.gen(function* () {
      const connection = {
        ...yield* serverConnection,
        startupOptions: "-c statement_timeout=60s -c lock_timeout=1s",
      }
      const statementTimeout = Duration.seconds(5)
      const { warnings, found } = yield* Effect.gen(function* () {
        const { warnings } = yield* Database.ConnectionSource
        return { warnings, found: yield* settings(["statement_timeout", "lock_timeout"]) }
      }).pipe(Effect.provide(Database.layer({ connection, statementTimeout })))
      assert.deepStrictEqual(found, { statement_timeout: "5000", lock_timeout: "1000" })
      assert.deepStrictEqual(
        warnings.filter((warning) => warning.includes("timeout")),
        ["The connection's options set statement_timeout, which has no effect: STATEMENT_TIMEOUT sets it."],
      )
    }))

  it.effect.each(["LATIN1", "WIN1252", "EUC_JP", "SQL_ASCII"])(
    "in a database encoded in %s is refused, and the encoding is named",
    (encoding) =>
      Effect.gen(function* () {
        const server = yield* serverConnection
        const database = `latchkey_test_${crypto.randomUUID().replaceAll("-", "")}`
        yield* Effect.acquireRelease(
          asSuperuser(
            server,
            `CREATE DATABASE ${database} TEMPLATE template0 ENCODING '${encoding}' LOCALE 'C'`,
          ),
          () => asSuperuser(server, `DROP DATABASE ${database}`),
        )
        const error = yield* failureOf({ connection: { ...server, database } })
        assert.strictEqual(error.reason, "settings")
        assert.include(error.message, `its encoding is ${encoding}`)
      }),
  )

  it.effect("in which triggers do nothing is refused, and the statement in the message mends it", () =>
    Effect.gen(function* () {
      const connection = yield* aRole(yield* makeDatabase())
      const server = yield* serverConnection
      yield* asSuperuser(
        server,
        `ALTER ROLE ${connection.username} SET session_replication_role = replica`,
      )
      const { reason, message } = yield* failureOf({ connection })
      assert.strictEqual(reason, "settings")
      const [, statement = ""] = /run (ALTER ROLE .*) as a superuser/.exec(message) ?? []
      yield* Effect.acquireRelease(
        asSuperuser(server, statement),
        () => asSuperuser(server, statement.replace(/SET .*/, "RESET ALL")),
      )
      yield* Effect.scoped(Layer.build(Database.layer({ connection })))
    }))

  it.effect.each(
    [
      ["off", "on"],
      ["local", "local"],
      ["remote_write", "remote_write"],
      ["remote_apply", "remote_apply"],
    ] as const,
  )(
    "for which synchronous_commit is %s by default has it %s",
    ([byDefault, expected]) =>
      Effect.gen(function* () {
        const connection = yield* aRole(yield* makeDatabase())
        const server = yield* serverConnection
        yield* asSuperuser(
          server,
          `ALTER ROLE ${connection.username} SET synchronous_commit = ${byDefault}`,
        )
        yield* Effect.gen(function* () {
          const found = { synchronous_commit: expected }
          assert.deepStrictEqual(yield* settings(["synchronous_commit"]), found)
          assert.deepStrictEqual(
            yield* Effect.provide(
              settings(["synchronous_commit"]),
              Database.layerSecondPool("readiness", 1),
            ),
            found,
          )
          const { warnings } = yield* Database.ConnectionSource
          assert.strictEqual(
            warnings.some((warning) => warning.startsWith("synchronous_commit is off by default")),
            byDefault === "off",
          )
        }).pipe(Effect.provide(Database.layer({ connection })))
      }),
  )

  it.effect("that is made later and is not what it must be is closed, named, and an outage", () =>
    Effect.gen(function* () {
      const connection = yield* aRole(yield* makeDatabase())
      const server = yield* serverConnection
      const lines = yield* LogLines
      yield* Effect.gen(function* () {
        const beside = yield* Layer.build(Database.layerSecondPool("readiness", 1))
        const statement = SqlClient.SqlClient.use((sql) => sql`SELECT 1 AS one`).pipe(
          interpretErrors(),
          Effect.provideContext(beside),
        )
        const alter = (change: string) => asSuperuser(server, `ALTER ROLE ${role} ${change}`)
        const role = connection.username
        yield* alter("SET session_replication_role = replica")
        for (const _ of [1, 2]) {
          const error = yield* Effect.flip(statement)
          assert.strictEqual(error._tag, "DatabaseUnavailable")
        }
        yield* alter("RESET session_replication_role")
        // The pool may have opened the next one before that.
        assert.deepStrictEqual(yield* Effect.retry(statement, { times: 1 }), [{ one: 1 }])
      }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })))
      // Once, however many statements fail for it.
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], 'session_replication_role is "replica" and not "origin"')
    }).pipe(Effect.provide(LogLines.layer)))

  it.effect("never leaves out rows that row security hides, but fails", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      yield* asSuperuser(owner, "ALTER TABLE users ENABLE ROW LEVEL SECURITY")
      const error = yield* SqlClient.SqlClient.use((sql) => sql`SELECT count(*) FROM users`).pipe(
        interpretErrors(),
        Effect.flip,
        Effect.provide(Database.layer({ connection })),
      )
      assert.strictEqual(error._tag, "DatabaseUnavailable")
      assert.strictEqual(error._tag === "DatabaseUnavailable" ? error.code : "", "42501")
    }))
})

/** The repositories in a database with this default. */
const repositoriesAt = (isolation: string) =>
  Layer.mergeAll(UserRepository.layer, RefreshTokenRepository.layer).pipe(
    Layer.provideMerge(
      Layer.unwrap(
        TestDatabase.use(({ connection }) => Effect.succeed(Database.layer({ connection }))),
      ),
    ),
    Layer.provideMerge(Layer.effect(
      TestDatabase,
      Effect.gen(function* () {
        const connection = yield* makeDatabase(inject("template"))
        yield* setDefaults(connection, `DATABASE "${connection.database}"`, {
          default_transaction_isolation: `'${isolation}'`,
        })
        return { connection }
      }),
    )),
  )

describe.each(["repeatable read", "serializable"])(
  "in a database whose default is %s",
  (isolation) => {
    layer(repositoriesAt(isolation), { excludeTestServices: true })((it) => {
      it.effect("revoke-all revokes what is committed while it waits for the user", () =>
        Effect.gen(function* () {
          const tokens = yield* RefreshTokenRepository
          const elsewhere = yield* tokensElsewhere()
          const sql = yield* SqlClient.SqlClient
          const { userId } = yield* aSavedToken()
          const [revocation, { tokenHash }] = yield* Effect.gen(function* () {
            const created = yield* tokens.create(aToken(userId))
            const revocation = yield* Effect.forkChild(elsewhere.revokeAllForUser(userId))
            yield* blockedSession
            return [revocation, created] as const
          }).pipe(sql.withTransaction)
          assert.strictEqual(yield* Fiber.join(revocation), 2)
          assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(tokenHash)))
        }))
    })
  },
)
