/**
 * Locks of the operating system on files: they end with the process that holds them, however it
 * dies, and its children do not inherit them.
 */
import { Effect, PlatformError } from "effect"
import { attempt, lstat } from "./attempt.ts"

/**
 * Opens a file that exists, and makes sure that it is what the path names: a plain file without a
 * second name. Through a link, whoever can write to the directory would have another file opened.
 */
const open = Effect.fnUntraced(function* (path: string) {
  const file = yield* Effect.acquireRelease(
    attempt(path, "open", () => Deno.open(path, { read: true, write: true })),
    (file) => Effect.sync(() => file.close()),
  )
  const opened = yield* attempt(path, "stat", () => file.stat())
  const named = yield* lstat(path)
  if (!named.isFile || opened.nlink !== 1 || named.dev !== opened.dev || named.ino !== opened.ino) {
    return yield* PlatformError.systemError({
      _tag: "BadResource",
      module: "embedded",
      method: "open",
      pathOrDescriptor: path,
      description: `${path} is not a plain file; remove it`,
    })
  }
  return { file, uid: opened.uid }
})

/** Waits for the lock on a file, and holds it until the scope closes. */
export const lock = Effect.fnUntraced(function* (path: string) {
  const { file } = yield* open(path)
  yield* attempt(path, "lock", () => file.lock(true))
})

/** The most that a process id takes, and the end of its line. */
const pidLength = 20

/**
 * Takes the lock on a file until the scope closes, and leaves the id of this process in it. Returns
 * the process id of the holder, or `unknown`, if another process has it.
 *
 * @param owner the user to whom the directory belongs: root writes to files of that user only
 */
export const take = Effect.fnUntraced(function* (path: string, owner: number | null) {
  const { file, uid } = yield* open(path)
  const isOurs = uid === owner
  if (yield* attempt(path, "lock", () => file.tryLock(true))) {
    if (isOurs) {
      yield* attempt(path, "write", async () => {
        await file.truncate()
        await file.write(new TextEncoder().encode(`${Deno.pid}\n`))
      })
    }
    return undefined
  }
  if (!isOurs) {
    return "unknown"
  }
  const content = new Uint8Array(pidLength)
  const length = yield* attempt(path, "read", () => file.read(content))
  const text = new TextDecoder().decode(content.subarray(0, length ?? 0)).trim()
  return /^\d+$/.test(text) ? text : "unknown"
})
