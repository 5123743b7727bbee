/**
 * Where the server's socket is: in a directory that no other user gets into, at a path that is short
 * enough for the system.
 */
import { Effect, FileSystem, Option, type PlatformError } from "effect"
import { createHash } from "node:crypto"
import { isRoot, script } from "./Account.ts"
import { attempt, ifFound, lstat } from "./attempt.ts"
import type { DataDir } from "./DataDir.ts"
import * as SystemDirectory from "./systemDirectory.ts"
import { withoutLinks } from "./withoutLinks.ts"

export interface ServerSocket {
  /** The directory that the server makes its socket in. */
  readonly listenIn: string
  /** The directory to connect by. */
  readonly connectIn: string
  /** Whether the socket is there; to be called before each attempt to connect. */
  readonly isThere: Effect.Effect<boolean, PlatformError.PlatformError>
}

/** Bytes that a path may have on macOS; Linux takes four more. */
const maxLength = 103

/** The name that PostgreSQL gives its socket. */
const socketName = (port: number) => `.s.PGSQL.${port}`

const fits = (directory: string, port: number) =>
  new TextEncoder().encode(`${directory}/${socketName(port)}`).length <= maxLength

/** Finds or makes the directories; what is temporary of them goes when the scope closes. */
export const open = Effect.fn("ServerSocket.open")(function* (dataDir: DataDir, port: number) {
  const socket = (yield* isRoot)
    ? yield* openAsRoot(dataDir, port)
    : yield* openAsUser(dataDir, port)
  // PostgreSQL would believe in the lock of a dead server if its process id was given out again.
  yield* script(dataDir.account, `rm -f -- "$1" "$1.lock"`, [
    `${socket.listenIn}/${socketName(port)}`,
  ])
  return socket
})

const sockets = `${SystemDirectory.systemDirectory}/sockets`

/** Where root connects by, for a `DATA_DIR` without links. */
const directoryOfRoot = (dataDir: string) =>
  `${sockets}/${createHash("sha256").update(dataDir).digest("hex").slice(0, 16)}`

/**
 * The directory to connect by to the server that a service of the same user runs in a `DATA_DIR`; none
 * where that cannot be known.
 */
export const ofRunning = Effect.fn("ServerSocket.ofRunning")(function* (configured: string) {
  const fs = yield* FileSystem.FileSystem
  const dataDir = yield* withoutLinks(configured)
  if (yield* isRoot) return Option.some(directoryOfRoot(dataDir))
  // https://www.postgresql.org/docs/current/storage-file-layout.html: the fifth line of the file.
  const file = yield* fs.readFileString(`${dataDir}/postgres/cluster/postmaster.pid`)
  return Option.fromNullishOr(file.split("\n")[4]?.trim() || undefined)
})

const openAsUser = Effect.fnUntraced(function* (dataDir: DataDir, port: number) {
  const fs = yield* FileSystem.FileSystem
  const directory = fits(dataDir.directory, port)
    ? dataDir.directory
    : yield* fs.makeTempDirectoryScoped({ directory: "/tmp", prefix: "latchkey-" })
  const socket: ServerSocket = {
    listenIn: directory,
    connectIn: directory,
    isThere: fs.exists(`${directory}/${socketName(port)}`),
  }
  return socket
})

/**
 * As root: the server makes its socket in a directory of its account, where that account could put a
 * link to another server's socket in its place. So root connects by a second name of the socket, in
 * a directory that only root can write to, once that name is known to be a socket of the account.
 */
const openAsRoot = Effect.fnUntraced(function* ({ dataDir, account }: DataDir, port: number) {
  const fs = yield* FileSystem.FileSystem
  const { uid, gid } = yield* Effect.orDie(Effect.fromNullishOr(account))
  yield* SystemDirectory.open(dataDir)
  const connectIn = directoryOfRoot(dataDir)
  const listenIn = `${connectIn}/server`
  const name = `${connectIn}/${socketName(port)}`
  for (const directory of [sockets, connectIn]) {
    yield* fs.makeDirectory(directory, { recursive: true })
    yield* fs.chmod(directory, 0o711)
  }
  if (Option.isNone(yield* ifFound(lstat(listenIn)))) {
    yield* fs.makeDirectory(listenIn, { mode: 0o700 })
  }
  yield* fs.chown(listenIn, uid, gid)
  yield* Effect.addFinalizer(() =>
    // The next start finds what a server that was killed has left.
    Effect.forEach([name, listenIn, connectIn], (path) =>
      Effect.ignore(attempt(path, "remove", () => Deno.remove(path))))
  )
  const socket: ServerSocket = {
    listenIn,
    connectIn,
    isThere: Effect.gen(function* () {
      yield* fs.remove(name, { force: true })
      const named = yield* ifFound(fs.link(`${listenIn}/${socketName(port)}`, name))
      if (Option.isNone(named)) {
        return false
      }
      const found = yield* lstat(name)
      return found.isSocket === true && found.uid === uid
    }),
  }
  return socket
})
