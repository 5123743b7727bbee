/**
 * The operating system's user that PostgreSQL's programs run as: the service's own, or, because
 * PostgreSQL refuses to run as root, an unprivileged one.
 *
 * What another account may write is read and written by programs that run as that account: a link,
 * a pipe or a race that it leaves there then leads no further than the account itself gets.
 */
import { Effect, Schema } from "effect"
import { EmbeddedPostgresUnsupported, printable } from "./EmbeddedPostgresUnavailable.ts"

/** Numeric ids to switch to, or nothing to stay who we are. */
export type Account = { readonly uid: number; readonly gid: number } | undefined

/** Asked when needed, since an importer that starts no server may lack the permission to ask. */
export const isRoot = Effect.sync(() => Deno.uid() === 0)

/**
 * The settings that every program of PostgreSQL is spawned with. The environment is empty but for
 * these, since a stray `PGOPTIONS` or `LD_LIBRARY_PATH` would change what it does.
 */
export const spawnOptions = (account: Account) => ({
  ...account,
  cwd: "/",
  clearEnv: true,
  env: { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
})

/** The failure to start a program at all, as where binaries of another C library do not run. */
export const cannotRun = (program: string, cause: unknown) =>
  new EmbeddedPostgresUnsupported({ detail: `${program} cannot be run (${cause})` })

/** How a program ended, with both of its outputs, which are safe to print. */
export interface Ended {
  readonly success: boolean
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, with `input` as its standard input. */
export const run = Effect.fn("Account.run")(
  function* (account: Account, program: string, args: Array<string>, input = "") {
    const output = yield* Effect.tryPromise({
      try: (signal) => {
        const child = new Deno.Command(program, {
          ...spawnOptions(account),
          args,
          signal,
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
        }).spawn()
        // A program that ends without reading its input breaks the pipe; its exit code says more.
        const fed = new Blob([input]).stream().pipeTo(child.stdin).catch(() => {})
        return fed.then(() => child.output())
      },
      catch: (cause) => cannotRun(program, cause),
    })
    const text = (bytes: Uint8Array) => printable(new TextDecoder().decode(bytes)).trim()
    const ended: Ended = {
      success: output.success,
      stdout: text(output.stdout),
      stderr: text(output.stderr),
    }
    return ended
  },
)

/** A shell script did not do what it was for. */
export class ScriptFailed extends Schema.TaggedError<ScriptFailed>()("ScriptFailed", {
  /** What the failing command wrote, or else that there was nothing. */
  detail: Schema.String,
}) {}

/** Runs a shell script as the account, and returns what it writes to its standard output. */
export const script = Effect.fn("Account.script")(
  function* (account: Account, text: string, args: Array<string>) {
    const { success, stdout, stderr } = yield* run(
      account,
      "/bin/sh",
      ["-c", `set -eu\numask 077\n${text}`, "sh", ...args],
    )
    if (!success) {
      return yield* new ScriptFailed({ detail: stderr || "a command failed without a message" })
    }
    return stdout
  },
  // A pipe in the place of a file would be waited for without end.
  Effect.timeoutOrElse({
    duration: "1 minute",
    orElse: () => new ScriptFailed({ detail: "a command did not end within a minute" }),
  }),
)

/**
 * Prints user and group id of the first of its arguments that has an entry in the user database.
 * `initdb` fails for a user without one.
 */
const firstKnownUser = `
for user do
  uid=$(id -u "$user" 2>/dev/null) && gid=$(id -g "$user" 2>/dev/null) && echo "$uid $gid" && exit
done
:`

/** The first of these users that exists, if any does. */
export const findAccount = Effect.fn("Account.findAccount")(function* (
  ...users: ReadonlyArray<string>
) {
  const [uid, gid] = (yield* script(undefined, firstKnownUser, [...users])).split(" ").map(Number)
  return uid === undefined || gid === undefined ? undefined : { uid, gid }
})

/** The account that root uses where nothing else says which: an unprivileged user that exists. */
export const unprivileged = Effect.gen(function* () {
  const account = yield* findAccount("postgres", "nobody")
  if (account !== undefined) {
    return account
  }
  return yield* new EmbeddedPostgresUnsupported({
    detail: "PostgreSQL refuses to run as root, and there is no user postgres or nobody",
  })
})
