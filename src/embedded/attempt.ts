/** The operating system's own functions, for what Effect's `FileSystem` has none. */
import { Effect, Option, PlatformError } from "effect"

/** Runs one of them on a path. */
export const attempt = <A>(path: string, method: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) =>
      PlatformError.systemError({
        _tag: cause instanceof Deno.errors.NotFound ? "NotFound" : "Unknown",
        module: "embedded",
        method,
        pathOrDescriptor: path,
        description: String(cause),
        cause,
      }),
  })

/** `None` where the effect fails because there is nothing at its path. */
export const ifFound = <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
  Effect.catchIf(
    Effect.asSome(effect),
    (error) => error.reason._tag === "NotFound",
    () => Effect.succeedNone,
  ) satisfies Effect.Effect<Option.Option<A>, PlatformError.PlatformError, R>

/** What is at exactly this path: of a link, the link. */
export const lstat = (path: string) => attempt(path, "lstat", () => Deno.lstat(path))
