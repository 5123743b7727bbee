/**
 * A program as a process of its own, with nothing of this one's environment.
 */
import { Effect, Fiber, Schedule } from "effect"

const repository = new URL("../../", import.meta.url).pathname

export interface Program {
  readonly pid: number
  readonly signal: (name: Deno.Signal) => Effect.Effect<void>
  /** All that it wrote so far. */
  readonly output: () => string
  /** Waits until it has written what matches. */
  readonly said: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  /** Waits for its end, and for its last words. */
  readonly ended: Effect.Effect<{ readonly code: number; readonly output: string }>
}

// A process that is gone needs no signal.
const kill = (pid: number, name: Deno.Signal) =>
  Effect.ignore(Effect.try({ try: () => Deno.kill(pid, name), catch: () => "gone" }))

export interface StartOptions {
  /** The most files that it may have open; by default as many as this process. */
  readonly openFiles?: number
  /** Where it runs; by default in the repository. */
  readonly directory?: string
  /** The number of the user and the group who run it; by default those of this process. */
  readonly user?: number
}

/** Starts `deno` with these arguments; ended, with its children, with the scope. */
export const start = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  variables: Record<string, string> = {},
  { directory = repository, openFiles, user }: StartOptions = {},
) {
  const limit = openFiles === undefined ? [] : ["prlimit", `--nofile=${openFiles}`]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      // Each becomes the next one, so that the process is the program.
      new Deno.Command("env", {
        args: [...limit, Deno.execPath(), ...args],
        cwd: directory,
        ...(user === undefined ? {} : { uid: user, gid: user }),
        clearEnv: true,
        env: {
          PATH: Deno.env.get("PATH") ?? "",
          HOME: Deno.env.get("HOME") ?? "",
          NO_COLOR: "1",
          ...variables,
        },
        // A group of its own, so that a task and what it runs can be ended together.
        detached: true,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn()
    ),
    (child) => Effect.andThen(kill(-child.pid, "SIGKILL"), Effect.promise(() => child.status)),
  )
  let output = ""
  const read = (stream: ReadableStream<Uint8Array>) =>
    stream.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({
        write: (text) => {
          output += text
        },
      }),
    )
  const reading = yield* Effect.forkScoped(
    Effect.promise(() => Promise.all([read(child.stdout), read(child.stderr)])),
  )
  const ended = Effect.andThen(
    Fiber.join(reading),
    Effect.promise(() => child.status),
  ).pipe(Effect.map(({ code }) => ({ code, output })))
  const program: Program = {
    pid: child.pid,
    signal: (name) => kill(child.pid, name),
    output: () => output,
    said: (pattern) =>
      Effect.suspend(() => Effect.fromNullishOr(pattern.exec(output))).pipe(
        Effect.retry(Schedule.spaced("10 millis")),
        Effect.orDie,
        Effect.raceFirst(
          Effect.flatMap(ended, ({ output }) =>
            Effect.suspend(() =>
              Effect.fromNullishOr(pattern.exec(output))
            ).pipe(
              Effect.mapError(() => new Error(`It ended without saying ${pattern}: ${output}`)),
              Effect.orDie,
            )),
        ),
      ),
    ended,
  }
  return program
})
