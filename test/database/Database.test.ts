import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { Buffer } from "node:buffer"
import { connect, createServer } from "node:net"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"
import { asSuperuser } from "../support/roles.ts"
import { makeDatabase, serverConnection } from "../support/TestDatabase.ts"

/** What connecting fails with. */
const failureOf = (connection: ConnectionParameters) =>
  Effect.flip(Effect.scoped(Layer.build(Database.layer({ connection }))))

/** The port of a server that says of itself that it is older: what is asked for it is rewritten. */
const olderServer = Effect.fnUntraced(function* (port: number) {
  const replacements = [
    ["pg_catalog.current_setting('server_version_num')", "'140019'"],
    ["pg_catalog.current_setting('server_version')", "'14.19'"],
  ] as const
  const rewritten = (chunk: Buffer) =>
    // PostgreSQL's messages have their length before them.
    Buffer.from(
      replacements.reduce(
        (text, [from, to]) => text.replace(from, to.padEnd(from.length)),
        chunk.toString("latin1"),
      ),
      "latin1",
    )
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1")
    client.on("data", (chunk) => upstream.write(rewritten(Buffer.from(chunk))))
    upstream.on("data", (chunk) => client.write(chunk))
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      one.on("error", () => other.destroy())
      one.on("close", () => other.destroy())
    }
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void))),
  )
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : 0
})

const settings = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly name: string; readonly setting: string }>`
    SELECT name, setting FROM pg_settings
    WHERE name IN (
      'application_name', 'idle_in_transaction_session_timeout', 'lock_timeout', 'random_page_cost',
      'statement_timeout', 'TimeZone'
    )
  `
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
})

const timeouts = {
  statementTimeout: Duration.seconds(5),
  lockTimeout: Duration.seconds(2),
  idleInTransactionTimeout: Duration.seconds(10),
}

describe("Database", () => {
  it.effect("gives every session the same settings, whatever the server's defaults", () =>
    Effect.gen(function* () {
      const connection = yield* serverConnection
      const found = yield* Effect.provide(settings, Database.layer({ connection, ...timeouts }))
      assert.deepStrictEqual(found, {
        application_name: "latchkey",
        TimeZone: "UTC",
        idle_in_transaction_session_timeout: "10000",
        lock_timeout: "2000",
        random_page_cost: "1.1",
        statement_timeout: "5000",
      })
    }))

  it.effect("sends a pooler no setting that it would refuse, and prepares nothing", () =>
    Effect.gen(function* () {
      const database = yield* makeDatabase()
      // A pooler cannot be told to.
      yield* asSuperuser(
        database,
        `ALTER DATABASE "${database.database}" SET synchronous_commit = on`,
      )
      const connection = { ...database, pooler: true }
      const [plain, pooled, client] = yield* Effect.all([
        Effect.provide(settings, Database.layer({ connection: database })),
        Effect.provide(settings, Database.layer({ connection, ...timeouts })),
        Effect.provide(PgClient.PgClient, Database.layer({ connection })),
      ])
      assert.deepStrictEqual(pooled, { ...plain, random_page_cost: "4" })
      assert.isFalse(client.config.prepare)
    }))

  it.effect("opens no more connections than it may", () =>
    Effect.gen(function* () {
      const connection = yield* serverConnection
      const pids = new Set<unknown>()
      const both = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        // Each keeps its connection until there are two.
        const use = sql.withTransaction(Effect.gen(function* () {
          const [row] = yield* sql`SELECT pg_backend_pid() AS pid`
          if (pids.add(row?.["pid"]).size === 2) yield* Deferred.succeed(both, undefined)
          yield* Deferred.await(both)
        }))
        yield* Effect.replicateEffect(use, 12, { concurrency: "unbounded" })
      }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 2 })))
      assert.strictEqual(pids.size, 2)
    }))

  it.effect("opens connections beside a pool with its settings, and only when they are needed", () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase()
      const pool = yield* Layer.build(
        Database.layer({ connection, maxConnections: 1, ...timeouts }),
      )
      const sql = yield* Effect.provideContext(SqlClient.SqlClient, pool)
      const server = Database.layer({ connection: yield* serverConnection, maxConnections: 1 })
      const allowConnections = (allowed: boolean) =>
        SqlClient.SqlClient.use((sql) =>
          sql`ALTER DATABASE ${sql(connection.database)} ALLOW_CONNECTIONS ${
            sql.literal(String(allowed))
          }`
        ).pipe(Effect.provide(server))
      yield* allowConnections(false)
      const beside = yield* Effect.provideContext(
        Layer.build(Database.layerSecondPool("readiness", 1)),
        pool,
      )
      yield* Effect.flip(Effect.provideContext(settings, beside))

      yield* allowConnections(true)
      const expected = yield* Effect.provideContext(settings, pool)
      yield* sql.withTransaction(Effect.gen(function* () {
        const other = yield* Effect.provideContext(SqlClient.SqlClient, beside)
        const pid = yield* sql`SELECT pg_backend_pid()`
        assert.notDeepEqual(yield* other`SELECT pg_backend_pid()`, pid)
        assert.deepStrictEqual(yield* Effect.provideContext(settings, beside), expected)
      }))
    }))

  it.effect("ends a statement that takes too long", () =>
    Effect.gen(function* () {
      const connection = yield* serverConnection
      const error = yield* Effect.flip(SqlClient.SqlClient.use((sql) => sql`SELECT pg_sleep(3600)`))
        .pipe(Effect.provide(
          Database.layer({ connection, statementTimeout: Duration.seconds(1) }),
        ))
      assert.strictEqual(error.reason._tag, "StatementTimeoutError")
    }))

  it.effect("says which database does not exist", () =>
    Effect.gen(function* () {
      const connection = { ...yield* serverConnection, database: "latchkey_test_none" }
      const error = yield* failureOf(connection)
      assert.strictEqual(error.reason, "database")
      assert.match(
        error.message,
        /^Cannot use the database "latchkey_test_none" at .* there is no such database; .*\(3D000\)\.$/,
      )
    }))

  it.effect("says that a role may not connect", () =>
    Effect.gen(function* () {
      const server = yield* serverConnection
      const { database } = yield* makeDatabase()
      const role = `latchkey_test_${crypto.randomUUID().replaceAll("-", "")}`
      const password = "p@ss:w/o?r#d%41 +&=`"
      const run = (use: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
        Effect.orDie(Effect.provide(
          SqlClient.SqlClient.use(use),
          Database.layer({ connection: server }),
        ))
      yield* Effect.acquireRelease(
        run((sql) => sql`CREATE ROLE ${sql(role)} LOGIN PASSWORD ${sql.literal(`'${password}'`)}`),
        () => run((sql) => sql`DROP ROLE ${sql(role)}`),
      )
      const connection = {
        ...server,
        database,
        username: role,
        password: Redacted.make(password),
      }
      assert.strictEqual(
        (yield* Effect.provide(settings, Database.layer({ connection }))).TimeZone,
        "UTC",
      )
      yield* run((sql) => sql`REVOKE CONNECT ON DATABASE ${sql(database)} FROM PUBLIC`)
      const error = yield* failureOf(connection)
      assert.strictEqual(error.reason, "rights")
      assert.notInclude(JSON.stringify(error), "p@ss")
    }))

  it.effect("refuses a read-only server where a writable one is asked for", () =>
    Effect.gen(function* () {
      const connection = {
        ...yield* serverConnection,
        startupOptions: "-c default_transaction_read_only=on",
      }
      yield* Effect.scoped(Layer.build(Database.layer({ connection })))
      const error = yield* failureOf({ ...connection, target: "read-write" })
      assert.strictEqual(error.reason, "standby")
      assert.match(error.message, /: the server is read-only, and read-write is wanted\.$/)
    }))

  it.effect("refuses a server that is too old", () =>
    Effect.gen(function* () {
      const server = yield* serverConnection
      const port = yield* olderServer(Number(server.port))
      const error = yield* failureOf({ ...server, host: "127.0.0.1", port, ssl: false })
      assert.strictEqual(error.reason, "version")
      assert.match(error.message, /PostgreSQL 14\.19 is too old; upgrade it to 15 or later\.$/)
    }))
})
