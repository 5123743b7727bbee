import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { existsSync } from "node:fs"
import { Effect, FileSystem, Layer, Option, Path, Redacted, Schedule } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import * as DatabaseUrl from "../../src/database/DatabaseUrl.ts"
import { RefreshTokenRepository } from "../../src/repositories/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/UserRepository.ts"
import { aToken, aUser } from "../support/factories.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** Where Debian's package puts it. */
const program = "/usr/sbin/pgbouncer"

const valueOf = (secret: unknown) =>
  Redacted.isRedacted(secret) ? String(Redacted.value(secret)) : ""

/**
 * A pooler in transaction mode with two server connections, at a socket in a directory of its own;
 * gives the URL of the test's database.
 */
const startPooler = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const { connection } = yield* TestDatabase
  const { host, port: serverPort, database, username = "", password } = connection
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-pgbouncer-" })
  // As root it becomes another user, who has to read its files and to make the socket.
  yield* fs.chmod(directory, 0o777)
  const users = path.join(directory, "users.txt")
  yield* fs.writeFileString(users, `"${username}" "${valueOf(password)}"\n`)
  const config = path.join(directory, "pgbouncer.ini")
  yield* fs.writeFileString(
    config,
    [
      "[databases]",
      `${database} = host=${host} port=${serverPort} dbname=${database} user=${username}`,
      "[pgbouncer]",
      "listen_addr =",
      "listen_port = 6432",
      `unix_socket_dir = ${directory}`,
      "auth_type = trust",
      `auth_file = ${users}`,
      "pool_mode = transaction",
      "default_pool_size = 2",
      "",
    ].join("\n"),
  )
  yield* spawner.spawn(
    ChildProcess.make(program, Deno.uid() === 0 ? ["-u", "nobody", config] : [config], {
      stdout: "ignore",
      stderr: "ignore",
    }),
  )
  const socket = encodeURIComponent(directory)
  return `postgres://${username}@${socket}:6432/${database}?sslmode=disable&pgbouncer=true`
})

const Pooled = Layer.mergeAll(UserRepository.layer, RefreshTokenRepository.layer).pipe(
  Layer.provideMerge(
    Layer.unwrap(Effect.gen(function* () {
      const url = yield* startPooler
      const { parameters } = yield* DatabaseUrl.parse(Redacted.make(url))
      const database = Database.layer({ connection: parameters, maxConnections: 8 })
      yield* Effect.scoped(Layer.build(Layer.fresh(database))).pipe(
        Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 1_000 }),
      )
      return database
    })),
  ),
  Layer.provide(NodeServices.layer),
  Layer.provideMerge(TestDatabase.layer),
)

it.live.skipIf(!existsSync(program))(
  "behind PgBouncer in transaction mode the repositories work, many at once, transactions included",
  () =>
    Effect.gen(function* () {
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
    }).pipe(Effect.provide(Pooled)),
)
