/**
 * A real PgBouncer before a database of the tests.
 */
import { NodeServices } from "@effect/platform-node"
import { existsSync } from "node:fs"
import { Effect, FileSystem, Path, Redacted, Schedule } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { PgConnection } from "@effect/sql-pg"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"

/** Where Debian's package puts it. */
const program = "/usr/sbin/pgbouncer"

export const isInstalled = existsSync(program)

const valueOf = (secret: unknown) =>
  Redacted.isRedacted(secret) ? String(Redacted.value(secret)) : ""

export interface PoolerOptions {
  readonly mode: "session" | "transaction"
  /** Startup parameters that it takes and drops; by default it refuses what it does not know. */
  readonly ignored?: ReadonlyArray<string>
}

/**
 * Starts it with two connections to the server, at a socket in a directory of its own, and gives its
 * URL of the database.
 */
export const start = Effect.fnUntraced(
  function* (connection: ConnectionParameters, { mode, ignored = [] }: PoolerOptions) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
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
        `pool_mode = ${mode}`,
        "default_pool_size = 2",
        `ignore_startup_parameters = ${ignored.join(",")}`,
        "",
      ].join("\n"),
    )
    yield* spawner.spawn(
      ChildProcess.make(program, Deno.uid() === 0 ? ["-u", "nobody", config] : [config], {
        stdout: "ignore",
        stderr: "ignore",
      }),
    )
    yield* Effect.scoped(
      PgConnection.make({ host: directory, port: 6432, username, database, ssl: false }),
    ).pipe(
      Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 1_000 }),
    )
    return `postgres://${username}@${
      encodeURIComponent(directory)
    }:6432/${database}?sslmode=disable`
  },
  Effect.provide(NodeServices.layer),
)
