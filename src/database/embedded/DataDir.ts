/**
 * Where under `DATA_DIR` the embedded PostgreSQL keeps its things, and who may use them.
 *
 *     DATA_DIR/postgres.lock   held by the service while it runs; contains its process id
 *     DATA_DIR/postgres/       a directory, or a link to one under {@link systemDirectory}
 *       cluster/               PostgreSQL's data directory
 *       password               of the role `latchkey`
 *       postgres.log           what PostgreSQL has to say
 *       software/              links to PostgreSQL's programs (not as root)
 *       origin                 the DATA_DIR that links here, if one does
 */
import { Effect, FileSystem, Option, Path } from "effect"
import { type Account, accountFor, isRoot, run } from "./Account.ts"
import { DataDirInUse, DataDirUnusable } from "./EmbeddedPostgresUnavailable.ts"
import * as FileLock from "./FileLock.ts"

/** Where root keeps what an unprivileged user must reach although `DATA_DIR` is closed to it. */
export const systemDirectory = "/var/lib/latchkey"

/** The places of one database, all of them absolute and free of links. */
export interface DataDir {
  /** As configured. */
  readonly dataDir: string
  readonly directory: string
  readonly cluster: string
  readonly password: string
  readonly log: string
  readonly account: Account
}

/**
 * Makes `DATA_DIR` if needed, keeps other processes out of it until the scope closes, and finds or
 * makes the place of its database.
 */
export const open = Effect.fn("DataDir.open")(function* (configured: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* fs.makeDirectory(configured, { recursive: true })
  const dataDir = yield* fs.realPath(configured)
  yield* lockFor(dataDir, path.join(dataDir, "postgres.lock"))

  const entry = path.join(dataDir, "postgres")
  const link = yield* Effect.option(fs.readLink(entry))
  if (Option.isSome(link) && path.dirname(link.value) === systemDirectory) {
    yield* verifyOrigin(dataDir, entry, link.value)
  } else if (!(yield* fs.exists(entry))) {
    yield* makeHome(dataDir, entry, yield* accountFor(dataDir))
  }
  const directory = yield* fs.realPath(entry)
  const cluster = path.join(directory, "cluster")
  const result: DataDir = {
    dataDir,
    directory,
    cluster,
    password: path.join(directory, "password"),
    log: path.join(directory, "postgres.log"),
    account: yield* accountFor((yield* fs.exists(cluster)) ? cluster : dataDir),
  }
  return result
})

const lockFor = Effect.fnUntraced(function* (dataDir: string, lockFile: string) {
  const fs = yield* FileSystem.FileSystem
  if (!(yield* FileLock.tryLock(lockFile))) {
    const pid = (yield* fs.readFileString(lockFile)).trim() || "unknown"
    return yield* new DataDirInUse({ dataDir, pid })
  }
  yield* fs.writeFileString(lockFile, `${Deno.pid}\n`)
})

/** Makes the directory `entry`, or a link of that name if the account could not reach it there. */
const makeHome = Effect.fnUntraced(function* (dataDir: string, entry: string, account: Account) {
  const fs = yield* FileSystem.FileSystem
  if (yield* reachable(dataDir, account)) {
    return yield* makeDirectory(entry)
  }
  const home = `${systemDirectory}/${crypto.randomUUID()}`
  yield* makeDirectory(systemDirectory)
  yield* makeDirectory(home)
  yield* fs.writeFileString(`${home}/origin`, dataDir)
  yield* fs.symlink(home, entry)
})

/** Whether the account can get into `DATA_DIR`, which is opened to its group if it is still empty. */
const reachable = Effect.fnUntraced(function* (dataDir: string, account: Account) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const canEnter = (directory: string) =>
    Effect.map(
      run(account, "/bin/sh", ["-c", `cd -- "$1"`, "sh", directory]),
      (ended) => ended.success,
    )
  if (account === undefined || (yield* canEnter(dataDir))) {
    return true
  }
  // A directory that somebody keeps other things in (a home, say) is not ours to open.
  const { uid } = yield* fs.stat(dataDir)
  const entries = yield* fs.readDirectory(dataDir)
  const isOurs = Option.contains(uid, 0) && entries.every((name) => name === "postgres.lock")
  if (!isOurs || !(yield* canEnter(path.dirname(dataDir)))) {
    return false
  }
  yield* fs.chown(dataDir, 0, account.gid)
  yield* fs.chmod(dataDir, 0o710)
  return true
})

/** A directory that the account may pass through but not write to: the service follows paths here. */
const makeDirectory = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(directory, { recursive: true })
  yield* fs.chmod(directory, (yield* isRoot) ? 0o711 : 0o700)
})

/** A link survives that its `DATA_DIR` is moved, but a copy must not share the original's database. */
const verifyOrigin = Effect.fnUntraced(function* (dataDir: string, entry: string, home: string) {
  const fs = yield* FileSystem.FileSystem
  if (!(yield* fs.exists(home))) {
    return yield* new DataDirUnusable({
      dataDir,
      detail: `its database was in ${home}, which is gone. Restore that directory, or delete ` +
        `${entry} to start with an empty database.`,
    })
  }
  const origin = yield* fs.readFileString(`${home}/origin`)
  if (origin === dataDir) {
    return
  }
  const linkOfOrigin = yield* Effect.option(fs.readLink(`${origin}/postgres`))
  if (Option.contains(linkOfOrigin, home)) {
    return yield* new DataDirUnusable({
      dataDir,
      detail: `it is a copy of ${origin}, whose database is in ${home}. Delete ${entry} to start ` +
        `with an empty database.`,
    })
  }
  yield* fs.writeFileString(`${home}/origin`, dataDir)
})
