import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { createServer, type Socket } from "node:net"
import type { ConnectionParameters, Target } from "../../../src/database/ConnectionParameters.ts"
import * as Database from "../../../src/database/Database.ts"
import { requireUsable } from "../../../src/database/requireUsable.ts"
import * as Cluster from "../../faults/support/Cluster.ts"
import * as Proxy from "../../faults/support/Proxy.ts"
import { LogLines } from "../../support/LogLines.ts"
import { serverConnection } from "../../support/TestDatabase.ts"

class Pair extends Context.Service<Pair, Effect.Success<typeof Cluster.makePair>>()(
  "latchkey/test/database/servers/Pair",
) {
  static readonly layer = Layer.effect(Pair, Cluster.makePair)
}

/** A primary or a standby. */
const role = SqlClient.SqlClient.use((sql) =>
  sql<{ readonly standby: boolean }>`SELECT pg_is_in_recovery() AS standby`
).pipe(Effect.map(([row]) => row?.standby ? "standby" : "primary"))

const failureOf = (connection: ConnectionParameters) =>
  Effect.flip(Effect.scoped(Layer.build(Database.layer({ connection }))))

/** No server is there. */
const nowhere = { host: "/nonexistent" }

layer(Pair.layer, { excludeTestServices: true, timeout: 120_000 })(
  "of a primary and a standby",
  (it) => {
    const cases: ReadonlyArray<
      readonly [Target, "primary" | "standby", "primary" | "standby"]
    > = [
      ["any", "primary", "primary"],
      ["any", "standby", "standby"],
      ["read-write", "primary", "primary"],
      ["read-write", "standby", "primary"],
      ["primary", "standby", "primary"],
      ["read-only", "primary", "standby"],
      ["standby", "primary", "standby"],
      ["prefer-standby", "primary", "standby"],
    ]
    it.effect.each(cases)(
      "%s with the %s as the first takes the %s",
      ([target, first, taken]) =>
        Effect.gen(function* () {
          const pair = yield* Pair
          const other = first === "primary" ? "standby" : "primary"
          const connection = {
            ...pair[first].connection,
            ...nowhere,
            others: [pair[first].connection, pair[other].connection],
            target,
          }
          assert.strictEqual(yield* Effect.provide(role, Database.layer({ connection })), taken)
        }),
    )

    it.effect("prefers a standby, and does with what there is", () =>
      Effect.gen(function* () {
        const { primary } = yield* Pair
        const connection: ConnectionParameters = {
          ...primary.connection,
          others: [nowhere],
          target: "prefer-standby",
        }
        assert.strictEqual(yield* Effect.provide(role, Database.layer({ connection })), "primary")
      }))

    it.effect("spreads connections where the order is random", () =>
      Effect.gen(function* () {
        const { primary, standby } = yield* Pair
        const connection: ConnectionParameters = {
          ...primary.connection,
          others: [standby.connection],
          inRandomOrder: true,
        }
        const found = new Set<string>()
        yield* Effect.repeat(
          Effect.map(
            Effect.provide(role, Database.layer({ connection })),
            (role) => found.add(role),
          ),
          { until: ({ size }) => size === 2 },
        )
        assert.sameMembers([...found], ["primary", "standby"])
      }))

    it.effect("says of each server that it is not what is wanted", () =>
      Effect.gen(function* () {
        const { standby } = yield* Pair
        const error = yield* failureOf({
          ...standby.connection,
          others: [nowhere],
          target: "read-write",
        })
        assert.strictEqual(error.reason, "standby")
        assert.include(error.message, ": the server is read-only, and read-write is wanted; /none")
        assert.include(error.message, "there is no such socket")
      }))
  },
)

/** A server that takes connections and says nothing, and how many it has taken. */
const silentServer = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly taken: () => number; close: () => void }>(
    (resume) => {
      const sockets: Array<Socket> = []
      const server = createServer((socket) => {
        sockets.push(socket)
        socket.on("error", () => {})
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        assert(typeof address === "object" && address !== null)
        resume(Effect.succeed({
          port: address.port,
          taken: () => sockets.length,
          close: () => {
            sockets.forEach((socket) => socket.destroy())
            server.close()
          },
        }))
      })
    },
  ),
  ({ close }) => Effect.sync(close),
)

it.live("leaves an old primary that lives on read-only for the new one", () =>
  Effect.gen(function* () {
    const { primary, standby } = yield* Cluster.makePair
    const connection: ConnectionParameters = {
      ...primary.connection,
      others: [standby.connection],
      target: "read-write",
    }
    const lines = yield* LogLines
    yield* Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const write = sql`CREATE TABLE IF NOT EXISTS written ()`
      const address = sql`SELECT trim('"' FROM current_setting('unix_socket_directories')) AS host`
      yield* write
      assert.deepStrictEqual(yield* address, [{ host: primary.connection.host }])
      yield* primary.query(
        "ALTER SYSTEM RESET synchronous_standby_names",
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
      )
      const { reason } = yield* Effect.flip(Effect.repeat(write, Schedule.spaced("10 millis")))
      assert.propertyVal(reason.cause, "code", "25006")
      // There is none that writes now, which is told as what it is.
      assert.strictEqual((yield* Effect.flip(requireUsable)).reason, "database-read-only")
      yield* standby.query("SELECT pg_promote()")
      yield* Effect.retry(write, Schedule.spaced("20 millis"))
      assert.deepStrictEqual(yield* address, [{ host: standby.connection.host }])
      yield* requireUsable
    }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 2 })))
    assert.include(lines.join(), "The database is read-only; its connections are replaced")
  }).pipe(Effect.provide(LogLines.layer)))

it.live("leaves what is idle at an old primary that lives on, once a connection leads to the new one", () =>
  Effect.gen(function* () {
    const { primary, standby } = yield* Cluster.makePair
    const proxy = yield* Proxy.make(primary.connection)
    const connection: ConnectionParameters = {
      ...primary.connection,
      host: "127.0.0.1",
      port: proxy.port,
      ssl: false,
      others: [standby.connection],
      target: "read-write",
    }
    yield* Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const address = "SELECT trim('\"' FROM current_setting('unix_socket_directories')) AS host"
      // On two connections at once, so that there are two.
      const addresses = Effect.scoped(Effect.gen(function* () {
        const reserved = yield* sql.reserve
        const there = yield* reserved.execute(address, [], undefined)
        return [...there, ...(yield* sql.unsafe(address))]
      }))
      const at = ({ connection: { host } }: Cluster.Cluster) => ({ host })
      assert.deepStrictEqual(yield* addresses, [at(primary), at(primary)])
      yield* proxy.behave({ _tag: "Reset" })
      yield* primary.query(`
        SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
        WHERE application_name = 'latchkey' AND pid <> pg_backend_pid() LIMIT 1`)
      yield* standby.query("SELECT pg_promote()")
      // One is made anew beside the one that is left.
      assert.deepStrictEqual((yield* addresses)[1], at(standby))
      yield* proxy.behave({ _tag: "Pass" })
      assert.deepStrictEqual(yield* addresses, [at(standby), at(standby)])
    }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 2 })))
  }))

describe("of which one is silent", () => {
  it.live("each has connect_timeout for itself, and is then tried after the others", () =>
    Effect.gen(function* () {
      const silent = yield* silentServer
      const { sslFallback: _, ...server } = yield* serverConnection
      const connection: ConnectionParameters = {
        ...server,
        ssl: false,
        host: "127.0.0.1",
        port: silent.port,
        others: [{ host: server.host, port: server.port, ssl: false }],
        connectTimeout: Duration.millis(500),
      }
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.strictEqual(silent.taken(), 1)
        yield* sql.withTransaction(sql`SELECT`)
        yield* sql.withTransaction(Effect.andThen(sql`SELECT`, sql.reserve))
        assert.strictEqual(silent.taken(), 1)
      }).pipe(Effect.scoped, Effect.provide(Database.layer({ connection })))
    }))
})
