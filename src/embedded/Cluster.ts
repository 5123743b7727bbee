/** PostgreSQL's data directory: made once, complete or not at all, and checked at every start. */
import { Effect, Option, Schedule } from "effect"
import { run, script } from "./Account.ts"
import { ifFound, lstat } from "./attempt.ts"
import type { Binaries } from "./Binaries.ts"
import { type DataDir, scriptIn } from "./DataDir.ts"
import { DataDirUnusable, PostgresNotStarted } from "./EmbeddedPostgresUnavailable.ts"

/** Both the superuser and the database that the service works in. */
export const roleAndDatabase = "latchkey"

/** Who may sign in, as files of the cluster that every start writes anew. */
export const accessFiles = ({ cluster }: Pick<DataDir, "cluster">) => ({
  hba_file: `${cluster}/latchkey_hba.conf`,
  ident_file: `${cluster}/latchkey_ident.conf`,
})

/** Makes the cluster if there is none, and makes sure that it is one of this version. */
export const prepare = Effect.fn("Cluster.prepare")(
  function* (dataDir: DataDir, binaries: Binaries, durable: boolean) {
    if (Option.isNone(yield* ifFound(lstat(dataDir.cluster)))) {
      yield* initialise(dataDir, binaries, durable)
    }
    const version = yield* script(dataDir.account, prepareScript, [dataDir.cluster]).pipe(
      Effect.catchTag("ScriptFailed", ({ detail }) =>
        new DataDirUnusable({
          dataDir: dataDir.dataDir,
          detail: `the database in ${dataDir.cluster} cannot be used (${detail}). Mend that, or ` +
            `restore the directory from a backup. Moved to another place, it stays as it is, and ` +
            `the next start makes an empty database.`,
        })),
    )
    if (version !== binaries.majorVersion) {
      return yield* new DataDirUnusable({
        dataDir: dataDir.dataDir,
        detail: `its database is of PostgreSQL ${version}, and this is ${binaries.majorVersion}. ` +
          `Dump it with pg_dump of the old version and restore it into a new DATA_DIR, or set ` +
          `DATABASE_URL to a server of version ${version}.`,
      })
    }
  },
)

/**
 * Lets the account and root sign in as the superuser without a password: the operating system tells
 * PostgreSQL who is at the other end of its socket. All other roles need one.
 */
const prepareScript = `
cd -- "$1"
[ -f PG_VERSION ] || { echo "it has no file PG_VERSION" >&2; exit 1; }
cat >latchkey_hba.conf <<'end'
# Written by latchkey at every start.
local all,replication ${roleAndDatabase} peer map=latchkey
local all all scram-sha-256
end
cat >latchkey_ident.conf <<end
# Written by latchkey at every start.
latchkey "$(id -un)" ${roleAndDatabase}
latchkey "$(id -un 0)" ${roleAndDatabase}
end
head -c 20 PG_VERSION
`

/**
 * Works in a directory of its own, which is given its name at the very end: whenever this is killed,
 * the next start finds no cluster, removes what is there, and begins again.
 */
const initialise = Effect.fn("Cluster.initialise")(
  function* (dataDir: DataDir, { initdb, postgres }: Binaries, durable: boolean) {
    const { account, directory, owner } = dataDir
    yield* removeUnfinished(dataDir)
    // The name is new each time, since an initdb that outlived its service may still write to one.
    const name = `${crypto.randomUUID()}.unfinished`
    const unfinished = `${directory}/${name}`
    const ids = account === undefined ? "" : `${account.uid}:${account.gid}`
    yield* scriptIn(
      owner,
      directory,
      `mkdir -m 700 "$2"
[ -z "$3" ] || chown "$3" "$2"`,
      [name, ids],
    )
    yield* succeed(
      "initdb failed",
      run(account, initdb, [
        `--pgdata=${unfinished}`,
        `--username=${roleAndDatabase}`,
        "--auth-host=reject",
        "--auth-local=peer",
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
    yield* scriptIn(
      owner,
      directory,
      `mv -- "$2" cluster
[ "$3" = false ] || sync .`,
      [name, String(durable)],
    )
  },
)

/** As root, a tree of the account is emptied as the account. */
const removeUnfinished = Effect.fnUntraced(function* ({ account, directory, owner }: DataDir) {
  const names = yield* scriptIn(
    owner,
    directory,
    `for name in *.unfinished; do [ ! -d "$name" ] || echo "$name"; done`,
  )
  for (const name of names.split("\n").filter((name) => name !== "")) {
    yield* script(account, `find "$1" -mindepth 1 -delete`, [`${directory}/${name}`]).pipe(
      Effect.andThen(scriptIn(owner, directory, `rmdir -- "$2"`, [name])),
      // An initdb that outlived its service may still write there, or remove what it has written.
      Effect.retry({ times: 20, schedule: Schedule.spaced("100 millis") }),
    )
  }
})

const succeed = Effect.fnUntraced(function* (detail: string, program: ReturnType<typeof run>) {
  const { success, stdout, stderr } = yield* program
  if (!success) {
    return yield* new PostgresNotStarted({ detail, output: stderr || stdout })
  }
})
