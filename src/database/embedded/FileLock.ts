/**
 * Locks of the operating system on files: they end with the process that holds them, however it
 * dies, and its children do not inherit them.
 */
import { Effect, PlatformError } from "effect"

const attempt = <A>(path: string, method: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) =>
      PlatformError.systemError({
        _tag: "Unknown",
        module: "FileLock",
        method,
        pathOrDescriptor: path,
        description: String(cause),
        cause,
      }),
  })

const open = (path: string) =>
  Effect.acquireRelease(
    attempt(
      path,
      "open",
      () => Deno.open(path, { create: true, read: true, write: true, mode: 0o600 }),
    ),
    (file) => Effect.sync(() => file.close()),
  )

/** Waits for the lock on a file, which is made if needed, and holds it until the scope closes. */
export const lock = Effect.fnUntraced(function* (path: string) {
  const file = yield* open(path)
  yield* attempt(path, "lock", () => file.lock(true))
})

/** Takes the lock on a file until the scope closes, or answers `false` if another process has it. */
export const tryLock = Effect.fnUntraced(function* (path: string) {
  const file = yield* open(path)
  return yield* attempt(path, "tryLock", () => file.tryLock(true))
})
