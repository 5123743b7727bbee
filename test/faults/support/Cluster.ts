/**
 * A durable PostgreSQL of the embedded binaries that may be killed, and starts again where it was: at
 * a socket in a directory of its own, which no other program can take meanwhile, as it can a port.
 */
import { NodeServices } from "@effect/platform-node"
import { PgConnection } from "@effect/sql-pg"
import { Effect, FileSystem, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"
import * as Database from "../../../src/database/Database.ts"
import { run, spawnOptions } from "../../../src/embedded/Account.ts"
import * as Binaries from "../../../src/embedded/Binaries.ts"
import * as EmbeddedCluster from "../../../src/embedded/Cluster.ts"
import * as DataDir from "../../../src/embedded/DataDir.ts"
import {
  defaultPort,
  serverArguments,
  type ServerSettings,
  serverSettings,
} from "../../../src/embedded/serverArguments.ts"
import { watchdog } from "../../../src/embedded/watchdog.ts"
import { Migrator } from "../../../src/migrator/Migrator.ts"

export interface Cluster {
  readonly connection: ConnectionParameters
  /** Ends the main process with SIGKILL; its children notice that by themselves. */
  readonly kill: Effect.Effect<void>
  /** Starts it again after that, and waits until it answers. */
  readonly restart: Effect.Effect<void>
  /** Runs statements as the superuser, one after the other, and gives the rows of the last. */
  readonly query: (...statements: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<unknown>>
}

/** Runs statements on a connection of their own, and gives the rows of the last. */
export const query = (connection: ConnectionParameters) => (...statements: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let rows: ReadonlyArray<unknown> = []
    for (const statement of statements) rows = yield* sql.unsafe(statement)
    return rows
  }).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })), Effect.orDie)

/** Keeps everybody from writing to a table until the scope closes, or from reading it as well. */
export const lockTable = Effect.fnUntraced(function* (
  connection: ConnectionParameters,
  table: string,
  mode: "SHARE" | "ACCESS EXCLUSIVE" = "SHARE",
) {
  const client = yield* PgConnection.make({ ...connection, ssl: false })
  yield* client.query("BEGIN")
  yield* client.query(`LOCK TABLE ${table} IN ${mode} MODE`)
}, Effect.orDie)

/** Waits until as many sessions wait for the lock of a table. */
export const untilWaiting = (connection: ConnectionParameters, table: string, sessions = 1) =>
  Effect.asVoid(Effect.repeat(
    query(connection)(
      `SELECT pid FROM pg_locks WHERE relation = '${table}'::regclass AND NOT granted`,
    ),
    {
      until: (waiting) => waiting.length === sessions,
      schedule: Schedule.spaced("20 millis"),
    },
  ))

/** The server of a data directory, not started yet; like the service's own, it never outlives us. */
const makeServer = Effect.fnUntraced(function* (
  dataDir: DataDir.DataDir,
  { postgres }: Binaries.Binaries,
  settings: ServerSettings,
) {
  const fs = yield* FileSystem.FileSystem
  const socketDir = yield* makeSocketDir(dataDir)
  const serverCommand = [
    postgres,
    ...serverArguments(dataDir, {
      ...serverSettings(dataDir, socketDir, true),
      max_connections: 60,
      ...settings,
    }),
  ]
  const connection: ConnectionParameters = {
    host: socketDir,
    port: defaultPort,
    database: EmbeddedCluster.roleAndDatabase,
    username: EmbeddedCluster.roleAndDatabase,
  }
  const run = Effect.sync(() =>
    new Deno.Command("/bin/sh", {
      ...spawnOptions(dataDir.account),
      args: ["-c", watchdog, "watchdog", dataDir.log, ...serverCommand],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn()
  )
  let child = yield* run
  yield* Effect.addFinalizer(() =>
    Effect.promise(() => child.stdin.close().catch(() => {}).then(() => child.status))
  )
  const answers = query(connection)("SELECT").pipe(
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false)),
  )
  // Children of a killed server hold its memory for a moment more, in which a new one ends at once.
  const untilItAnswers = Effect.gen(function* () {
    const ended = yield* Effect.raceFirst(
      Effect.promise(() => child.status).pipe(Effect.as(true)),
      Effect.repeat(answers, { until: (is) => is, schedule: Schedule.spaced("20 millis") }).pipe(
        Effect.as(false),
      ),
    )
    if (ended) child = yield* run
    return !ended
  }).pipe(
    Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("5 minutes"),
    Effect.orDie,
    Effect.asVoid,
  )
  yield* untilItAnswers
  const server: Cluster = {
    connection,
    query: query(connection),
    kill: Effect.gen(function* () {
      const file = yield* Effect.orDie(fs.readFileString(`${dataDir.cluster}/postmaster.pid`))
      Deno.kill(Number(file.split("\n")[0]), "SIGKILL")
      yield* Effect.promise(() => child.status)
    }),
    restart: Effect.andThen(
      Effect.map(run, (started) => {
        child = started
      }),
      untilItAnswers,
    ),
  }
  return server
})

const makeTempDir = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-faults-" })
  yield* fs.chmod(directory, 0o755)
  return `${directory}/data`
})

/** A directory for a server's socket, whose path must not be long. */
const makeSocketDir = Effect.fnUntraced(function* ({ account }: DataDir.DataDir) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-socket-" })
  if (account !== undefined) yield* fs.chown(directory, account.uid, account.gid)
  return directory
})

/** Lets in whoever reaches the socket, to replicate as well. */
const openToAll = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-hba-" })
  yield* fs.chmod(directory, 0o755)
  const hba_file = `${directory}/hba.conf`
  yield* fs.writeFileString(hba_file, "local all,replication all trust\n", { mode: 0o644 })
  return { hba_file }
})

const makePrimary = Effect.gen(function* () {
  const dataDir = yield* DataDir.open(yield* makeTempDir)
  const binaries = yield* Binaries.install(dataDir)
  yield* EmbeddedCluster.prepare(dataDir, binaries, false)
  const settings = yield* openToAll
  const server = yield* makeServer(dataDir, binaries, settings)
  yield* Migrator.use((migrator) => migrator.up()).pipe(
    Effect.provide(Migrator.layer),
    Effect.provide(Database.layer({ connection: server.connection })),
  )
  return { server, settings, dataDir, binaries }
})

/** A running, migrated server, gone when the scope closes. */
export const make = makePrimary.pipe(
  Effect.map(({ server }) => server),
  Effect.provide(NodeServices.layer),
  Effect.orDie,
)

/**
 * A primary and a synchronous standby of it: a commit is acknowledged when both have it on disk. The
 * standby is a copy of the primary's files, since the embedded binaries have no pg_basebackup.
 */
export const makePair = Effect.gen(function* () {
  const { server: primary, settings, dataDir, binaries } = yield* makePrimary
  const other = yield* DataDir.open(yield* makeTempDir)
  const copy = other.cluster
  const backUp = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const fs = yield* FileSystem.FileSystem
    yield* sql`SELECT pg_backup_start('standby', true)`
    const copied = yield* run(undefined, "/bin/cp", ["-a", dataDir.cluster, copy])
    if (!copied.success) return yield* Effect.die(copied.stderr)
    const [backup] = yield* sql<
      { readonly labelfile: string }
    >`SELECT labelfile FROM pg_backup_stop(false)`
    yield* fs.remove(`${copy}/postmaster.pid`)
    yield* fs.writeFileString(`${copy}/backup_label`, backup?.labelfile ?? "")
    const { host, port, username } = primary.connection
    yield* fs.writeFileString(
      `${copy}/postgresql.auto.conf`,
      `primary_conninfo = 'host=${host} port=${port} user=${username} application_name=standby'\n`,
    )
    yield* fs.writeFileString(`${copy}/standby.signal`, "")
    for (const file of ["backup_label", "postgresql.auto.conf", "standby.signal"]) {
      const { account } = dataDir
      if (account !== undefined) yield* fs.chown(`${copy}/${file}`, account.uid, account.gid)
    }
  })
  yield* backUp.pipe(
    Effect.provide(Database.layer({ connection: primary.connection, maxConnections: 1 })),
  )
  const standby = yield* makeServer(other, binaries, settings)
  yield* primary.query(
    "ALTER SYSTEM SET synchronous_standby_names = 'standby'",
    "SELECT pg_reload_conf()",
  )
  const isSynchronous = Effect.map(
    primary.query("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"),
    (rows) => rows.length === 1,
  )
  yield* Effect.repeat(isSynchronous, {
    until: (synchronous) => synchronous,
    schedule: Schedule.spaced("50 millis"),
  })
  return { primary, standby }
}).pipe(Effect.provide(NodeServices.layer), Effect.orDie)
