/**
 * The operating system's user that PostgreSQL's programs run as: the service's own, or, because
 * PostgreSQL refuses to run as root, an unprivileged one.
 */
import { Effect, FileSystem, Option } from "effect"
import { EmbeddedPostgresUnsupported } from "./EmbeddedPostgresUnavailable.ts"

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

/** How a program ended, with both of its outputs. */
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
    const text = new TextDecoder()
    const ended: Ended = {
      success: output.success,
      stdout: text.decode(output.stdout).trim(),
      stderr: text.decode(output.stderr).trim(),
    }
    return ended
  },
)

/** Prints user and group id of the first of its arguments that has an entry in the user database. */
const firstKnownUser = `for user do
  uid=$(id -u "$user" 2>/dev/null) && gid=$(id -g "$user" 2>/dev/null) && echo "$uid $gid" && exit
done
exit 1`

/**
 * Chooses the account for the database in `directory`: as root its owner, else the first of
 * `postgres` and `nobody` that exists. `initdb` fails for a user without an entry in the user
 * database, which is why an owner that is only a number is passed over.
 */
export const accountFor = Effect.fn("Account.accountFor")(function* (directory: string) {
  if (!(yield* isRoot)) {
    return undefined
  }
  const fs = yield* FileSystem.FileSystem
  const { uid } = yield* fs.stat(directory)
  const owner = Option.filter(uid, (id) => id !== 0)
  const users = [...Option.toArray(Option.map(owner, String)), "postgres", "nobody"]
  const found = yield* run(undefined, "/bin/sh", ["-c", firstKnownUser, "sh", ...users])
  const [userId, groupId] = found.stdout.split(" ").map(Number)
  if (!found.success || userId === undefined || groupId === undefined) {
    return yield* new EmbeddedPostgresUnsupported({
      detail: "PostgreSQL refuses to run as root, and there is no user postgres or nobody",
    })
  }
  return { uid: userId, gid: groupId }
})

/** Gives a file or directory to the account. */
export const handOver = Effect.fnUntraced(function* (account: Account, path: string) {
  const fs = yield* FileSystem.FileSystem
  if (account !== undefined) {
    yield* fs.chown(path, account.uid, account.gid)
  }
})
