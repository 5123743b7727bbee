/** PostgreSQL's data directory: made once, complete or not at all, and checked at every start. */
import { Effect, FileSystem, Redacted } from "effect"
import { handOver, run } from "./Account.ts"
import type { Binaries } from "./Binaries.ts"
import type { DataDir } from "./DataDir.ts"
import { DataDirUnusable, PostgresNotStarted } from "./EmbeddedPostgresUnavailable.ts"

/** Both the superuser and the database that the service works in. */
export const roleAndDatabase = "latchkey"

/** Makes the cluster if there is none, and answers the password of its superuser. */
export const prepare = Effect.fn("Cluster.prepare")(
  function* (dataDir: DataDir, binaries: Binaries, durable: boolean) {
    const fs = yield* FileSystem.FileSystem
    if (!(yield* fs.exists(dataDir.cluster))) {
      yield* initialise(dataDir, binaries, durable)
    }
    const version = (yield* fs.readFileString(`${dataDir.cluster}/PG_VERSION`)).trim()
    if (version !== binaries.majorVersion) {
      return yield* new DataDirUnusable({
        dataDir: dataDir.dataDir,
        detail: `its database is of PostgreSQL ${version}, and this is ${binaries.majorVersion}. ` +
          `Dump it with pg_dump of the old version and restore it into a new DATA_DIR, or set ` +
          `DATABASE_URL to a server of version ${version}.`,
      })
    }
    return Redacted.make((yield* fs.readFileString(dataDir.password)).trim())
  },
)

/**
 * Works in a directory of its own, which is given its name at the very end: whenever this is killed,
 * the next start finds no cluster, removes what is there, and begins again.
 */
const initialise = Effect.fn("Cluster.initialise")(
  function* (dataDir: DataDir, { initdb, postgres }: Binaries, durable: boolean) {
    const fs = yield* FileSystem.FileSystem
    const { account, directory, password } = dataDir
    for (const name of yield* fs.readDirectory(directory)) {
      if (name.endsWith(".unfinished")) {
        yield* fs.remove(`${directory}/${name}`, { recursive: true })
      }
    }
    // The name is new each time, since an initdb that outlived its service may still write to one.
    const unfinished = `${directory}/${crypto.randomUUID()}.unfinished`
    yield* fs.makeDirectory(unfinished, { mode: 0o700 })
    yield* handOver(account, unfinished)

    const secret = crypto.randomUUID() + crypto.randomUUID()
    yield* fs.remove(password, { force: true })
    yield* fs.writeFileString(password, `${secret}\n`, { flag: "wx", mode: 0o600 })
    yield* handOver(account, password)

    yield* succeed(
      "initdb failed",
      run(account, initdb, [
        `--pgdata=${unfinished}`,
        `--username=${roleAndDatabase}`,
        `--pwfile=${password}`,
        "--auth-host=scram-sha-256",
        "--auth-local=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        ...(durable ? [] : ["--no-sync"]),
      ]),
    )
    yield* succeed(
      "creating the database failed",
      run(account, postgres, [
        "--single",
        "-D",
        unfinished,
        "-c",
        "exit_on_error=on",
        "-c",
        `fsync=${durable ? "on" : "off"}`,
        "postgres",
      ], `CREATE DATABASE ${roleAndDatabase}\n`),
    )
    yield* fs.rename(unfinished, dataDir.cluster)
    if (durable) {
      yield* Effect.flatMap(fs.open(directory), (file) => file.sync)
    }
  },
  Effect.scoped,
)

const succeed = Effect.fnUntraced(function* (detail: string, program: ReturnType<typeof run>) {
  const { success, stdout, stderr } = yield* program
  if (!success) {
    return yield* new PostgresNotStarted({ detail, output: stderr || stdout })
  }
})
