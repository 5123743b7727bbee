/**
 * Where under `DATA_DIR` the embedded PostgreSQL keeps its things, and who may use them.
 *
 *     DATA_DIR/postgres.lock   held by the service while it runs; contains its process id
 *     DATA_DIR/postgres/       a directory, or a link to one under {@link systemDirectory}
 *       cluster/               PostgreSQL's data directory, its log included
 *       software/              links to PostgreSQL's programs (not as root)
 *       origin                 the DATA_DIR that links here, if one does
 *
 * Root works by itself only where nobody but root can write. Its own `DATA_DIR` is such a place; in
 * that of another user, everything is done as that user, who runs PostgreSQL then, too. `cluster` is
 * always the account's, and everything in it is done as that account.
 */
import { Effect, FileSystem, Option, Path } from "effect"
import { type Account, findAccount, isRoot, script, unprivileged } from "./Account.ts"
import { ifFound, lstat } from "./attempt.ts"
import { DataDirInUse, DataDirUnusable } from "./EmbeddedPostgresUnavailable.ts"
import * as FileLock from "./FileLock.ts"
import * as LinkedHome from "./LinkedHome.ts"
import { isClosed } from "./systemDirectory.ts"
import { withoutLinks } from "./withoutLinks.ts"

/** The places of one database, all of them absolute and free of links. */
export interface DataDir {
  /** As configured. */
  readonly dataDir: string
  readonly directory: string
  readonly cluster: string
  readonly log: string
  /** Works in `directory`: root itself, or the user to whom all of it belongs. */
  readonly owner: Account
  /** Runs PostgreSQL, and works in `cluster`. */
  readonly account: Account
}

/**
 * Makes `DATA_DIR` if needed, keeps other processes out of it until the scope closes, and finds or
 * makes the place of its database.
 */
export const open = Effect.fn("DataDir.open")(function* (configured: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const dataDir = yield* withoutLinks(configured)
  yield* fs.makeDirectory(path.dirname(dataDir), { recursive: true, mode: 0o755 })
  if (Option.isNone(yield* ifFound(lstat(dataDir)))) {
    yield* fs.makeDirectory(dataDir, { recursive: true, mode: 0o700 })
  }
  const owner = yield* ownerOf(dataDir)
  yield* lock(dataDir, owner)

  const entry = path.join(dataDir, "postgres")
  if (Option.isNone(yield* ifFound(lstat(entry)))) {
    yield* makeHome(dataDir, owner)
  }
  const directory = yield* withoutLinks(entry)
  yield* LinkedHome.verify(dataDir, entry)
  const cluster = path.join(directory, "cluster")
  const result: DataDir = {
    dataDir,
    directory,
    cluster,
    log: path.join(cluster, "postgres.log"),
    owner,
    account: owner ?? (yield* accountOf(dataDir, directory, cluster)),
  }
  return result
})

const unusable = (dataDir: string, detail: string) => new DataDirUnusable({ dataDir, detail })

/** Who works in `DATA_DIR`; fails where others could interfere. */
const ownerOf = Effect.fnUntraced(function* (dataDir: string) {
  const { isDirectory, uid, gid, mode } = yield* lstat(dataDir)
  if (!isDirectory) {
    return yield* unusable(dataDir, "it is not a directory. Name a directory.")
  }
  if (!(yield* isRoot)) {
    const isOpen = uid === 0 && (yield* isWritable(dataDir))
    return isOpen || uid === Deno.uid() ? undefined : yield* unusable(
      dataDir,
      `it belongs to ${
        uid === 0 ? "root" : `user ${uid}`
      }. Start as that user, or point DATA_DIR ` +
        `at a directory of your own.`,
    )
  }
  if (uid === 0) {
    return isClosed({ uid, gid, mode }) ? undefined : yield* unusable(
      dataDir,
      `other users can write to it. If all that is in it is yours, run: chmod go-w '${dataDir}'`,
    )
  }
  const orRoot =
    `or, if all of it is yours, give it to root: chown root:root '${dataDir}' '${dataDir}/postgres'`
  if (yield* isOpenToStrangers(dataDir)) {
    return yield* unusable(
      dataDir,
      `it belongs to user ${uid}, and is where anybody could have made it. Start as that user, ` +
        `${orRoot}`,
    )
  }
  return (yield* findAccount(String(uid))) ?? (yield* unusable(
    dataDir,
    `it belongs to user ${uid}, who is not in the user database. Add that user, ${orRoot}`,
  ))
})

const isWritable = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.access(path, { writable: true }).pipe(
    Effect.as(true),
    Effect.catchTag("PlatformError", () => Effect.succeed(false)),
  )
})

/** Whether any user could have put something in the place of a part of the path. */
const isOpenToStrangers = Effect.fnUntraced(function* (directory: string) {
  const path = yield* Path.Path
  for (let child = directory; child !== "/"; child = path.dirname(child)) {
    const { uid } = yield* lstat(child)
    const { mode } = yield* lstat(path.dirname(child))
    const isSticky = ((mode ?? 0) & 0o1000) !== 0
    if (((mode ?? 0) & 0o002) !== 0 && !(isSticky && uid === 0)) {
      return true
    }
  }
  return false
})

/**
 * Begins a script in a directory that is reached by a path: fails if the path leads elsewhere by
 * now and, as root, if anybody else can write there.
 */
const enter = `
cd -P -- "$1"
[ "$(pwd -P)" = "$1" ] || { echo "$1 was moved meanwhile" >&2; exit 1; }
[ "$(id -u)" -ne 0 ] || [ -n "$(find . -prune -user 0 ! -perm -002 \\( -group 0 -o ! -perm -020 \\))" ] || {
  echo "$1 is not closed to other users" >&2
  exit 1
}
`

/** Runs a script in a directory as the one who works there; its first argument is the directory. */
export const scriptIn = (
  owner: Account,
  directory: string,
  text: string,
  args: ReadonlyArray<string> = [],
) => script(owner, enter + text, [directory, ...args])

const lock = Effect.fnUntraced(function* (dataDir: string, owner: Account) {
  const file = `${dataDir}/postgres.lock`
  if (Option.isNone(yield* ifFound(lstat(file)))) {
    yield* scriptIn(owner, dataDir, ": >>postgres.lock")
  }
  const pid = yield* FileLock.take(file, owner?.uid ?? Deno.uid())
  if (pid !== undefined) {
    return yield* new DataDirInUse({ dataDir, pid })
  }
})

/** Makes the directory `postgres`, or a link of that name if the account could not reach it there. */
const makeHome = Effect.fnUntraced(function* (dataDir: string, owner: Account) {
  if (owner !== undefined || !(yield* isRoot)) {
    yield* scriptIn(owner, dataDir, "mkdir -m 700 postgres")
  } else if (yield* reachable(dataDir, yield* unprivileged)) {
    // The account may pass through but not write to it.
    yield* scriptIn(owner, dataDir, "mkdir -m 711 postgres")
  } else {
    const home = yield* LinkedHome.make(dataDir)
    yield* scriptIn(owner, dataDir, `ln -s -- "$2" postgres`, [home])
  }
})

/** Whether the account can get into `DATA_DIR`, which is opened to its group if it is still empty. */
const reachable = Effect.fnUntraced(function* (dataDir: string, account: NonNullable<Account>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const canEnter = (directory: string) =>
    script(account, `cd -- "$1"`, [directory]).pipe(
      Effect.as(true),
      Effect.catchTag("ScriptFailed", () => Effect.succeed(false)),
    )
  if (yield* canEnter(dataDir)) {
    return true
  }
  // A directory that somebody keeps other things in (a home, say) is not ours to open.
  const entries = yield* fs.readDirectory(dataDir)
  if (
    !entries.every((name) => name === "postgres.lock") || !(yield* canEnter(path.dirname(dataDir)))
  ) {
    return false
  }
  yield* scriptIn(undefined, dataDir, `chown "0:$2" . && chmod 710 .`, [String(account.gid)])
  return true
})

/** As root, the one to whom the cluster belongs, or who will make it. */
const accountOf = Effect.fnUntraced(
  function* (dataDir: string, directory: string, cluster: string) {
    const fs = yield* FileSystem.FileSystem
    if (!(yield* isRoot)) {
      return undefined
    }
    if (!isClosed(yield* lstat(directory))) {
      return yield* unusable(
        dataDir,
        `other users can write to ${directory}. If all that is in it is yours, run: ` +
          `chown root:root '${directory}' && chmod 711 '${directory}'`,
      )
    }
    const found = yield* ifFound(fs.stat(cluster))
    if (Option.isNone(found)) {
      return yield* unprivileged
    }
    const { uid, gid } = yield* Effect.orDie(
      Effect.fromOption(Option.all({ uid: found.value.uid, gid: found.value.gid })),
    )
    if (uid === 0) {
      return yield* unusable(
        dataDir,
        `${cluster} belongs to root, and PostgreSQL refuses to run as root. Give it to an ` +
          `unprivileged user: chown -R postgres '${cluster}'`,
      )
    }
    return { uid, gid }
  },
)
