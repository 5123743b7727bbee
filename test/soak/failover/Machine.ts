/**
 * The processes of one machine of a cluster: those whose current directory is the machine's, or below
 * it. PostgreSQL leaves the process group of whoever starts it, but never its data directory.
 */
import { Effect, Schedule } from "effect"
import type { Account } from "../../../src/embedded/Account.ts"
import { Failure } from "./Failure.ts"

export interface Machine {
  readonly directory: string
  /** Starts a program there that goes on by itself; what it writes goes to a file named after it. */
  readonly start: (program: string, args: ReadonlyArray<string>) => Effect.Effect<void>
  /** Runs a program there to its end; fails with what it complains about. */
  readonly run: (program: string, args: ReadonlyArray<string>) => Effect.Effect<string, Failure>
  /** Sends a signal to all processes, or to those alone that are in `data`, or that are not. */
  readonly signal: (name: Deno.Signal, part?: "data" | "rest") => Effect.Effect<void>
  /** Waits until no process is left. */
  readonly untilEmpty: Effect.Effect<void, Failure>
}

const currentDirectory = (pid: string) => {
  try {
    return Deno.readLinkSync(`/proc/${pid}/cwd`)
  } catch {
    // It has ended, or is another user's.
    return ""
  }
}

const isIn = (directory: string, current: string) => `${current}/`.startsWith(`${directory}/`)

/** Parents first, mostly: a stopped postmaster starts no more children. */
const processesIn = (directory: string, part?: "data" | "rest") =>
  [...Deno.readDirSync("/proc")]
    .map(({ name }) => name)
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const current = currentDirectory(pid)
      return isIn(directory, current) &&
        (part === undefined || isIn(`${directory}/data`, current) === (part === "data"))
    })
    .map(Number)
    .toSorted((one, other) => one - other)

const kill = (pid: number, name: Deno.Signal) =>
  Effect.ignore(Effect.try({ try: () => Deno.kill(pid, name), catch: () => "gone" }))

/** Repeats until it holds. */
export const until = (what: string, isSo: Effect.Effect<boolean>, seconds = 90) =>
  Effect.repeat(isSo, { until: (is) => is, schedule: Schedule.spaced("100 millis") }).pipe(
    Effect.timeoutOrElse({
      duration: `${seconds} seconds`,
      orElse: () => new Failure({ message: `Not within ${seconds} s: ${what}` }),
    }),
    Effect.asVoid,
  )

/** A machine without processes; those that it gets are killed when the scope closes. */
export const make = Effect.fnUntraced(function* (directory: string, account: Account) {
  yield* Effect.sync(() => {
    Deno.mkdirSync(directory, { mode: 0o700 })
    if (account !== undefined) Deno.chownSync(directory, account.uid, account.gid)
  })
  const options = {
    ...account,
    cwd: directory,
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", TZ: "UTC", HOME: directory },
    stdin: "null",
  } as const
  const signal: Machine["signal"] = (name, part) =>
    Effect.suspend(() =>
      Effect.forEach(processesIn(directory, part), (pid) => kill(pid, name), { discard: true })
    )
  const isEmpty = Effect.sync(() => processesIn(directory).length === 0)
  const machine: Machine = {
    directory,
    start: (program, args) =>
      Effect.sync(() => {
        // The shell leaves its outputs in the file and becomes the program.
        const name = program.slice(program.lastIndexOf("/") + 1)
        const script = `exec "$0" "$@" >>${name}.log 2>&1`
        const child = new Deno.Command("/bin/sh", {
          ...options,
          args: ["-c", script, program, ...args],
          stdout: "null",
          stderr: "null",
          detached: true,
        }).spawn()
        child.unref()
      }),
    run: Effect.fnUntraced(function* (program, args) {
      const { success, stdout, stderr } = yield* Effect.promise(() =>
        new Deno.Command(program, { ...options, args: [...args] }).output()
      )
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim()
      if (success) return text(stdout)
      return yield* new Failure({ message: `${program}: ${text(stdout)} ${text(stderr)}` })
    }),
    signal,
    untilEmpty: until(`no process in ${directory}`, isEmpty),
  }
  yield* Effect.addFinalizer(() =>
    Effect.repeat(
      Effect.andThen(signal("SIGKILL"), isEmpty),
      { until: (empty) => empty, schedule: Schedule.spaced("50 millis") },
    )
  )
  return machine
})
