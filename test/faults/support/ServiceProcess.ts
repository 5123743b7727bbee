/**
 * The service as a process of its own, started as an operator starts it.
 */
import { Deferred, Effect, Fiber, Redacted, Schema } from "effect"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"
import { createHash } from "node:crypto"

const repository = new URL("../../../", import.meta.url).pathname

/** The key that every service process knows, good for everything. */
export const apiKey = "key of the fault tests"

/** `API_KEYS` with it. */
export const apiKeys = JSON.stringify([
  { name: "faults", sha256: createHash("sha256").update(apiKey).digest("hex"), scopes: ["*"] },
])

/** `DATABASE_URL` of a database, or of the proxy before it at a port of this machine. */
export const databaseUrl = (connection: ConnectionParameters, proxyPort?: number) => {
  const { username, password, database } = connection
  const { host, port } = proxyPort === undefined
    ? connection
    : { host: "127.0.0.1", port: proxyPort }
  const secret = Redacted.isRedacted(password)
    ? `:${encodeURIComponent(String(Redacted.value(password)))}`
    : ""
  const server = encodeURIComponent(String(host))
  return `postgres://${username}${secret}@${server}:${port}/${database}?sslmode=disable`
}

export class ServiceNotStarted
  extends Schema.TaggedError<ServiceNotStarted>()("ServiceNotStarted", {
    output: Schema.String,
    /** How the process ended. */
    code: Schema.Int,
  }) {}

export interface ServiceProcess {
  readonly pid: number
  readonly port: number
  readonly signal: (name: Deno.Signal) => Effect.Effect<void>
  /** Waits for its end. */
  readonly ended: Effect.Effect<Deno.CommandStatus>
  /** All that it wrote so far. */
  readonly output: () => string
  /** Waits until it has written its last, for which its end is too early. */
  readonly outputEnded: Effect.Effect<void>
}

export interface StartOptions {
  /** The most files that the process may have open; by default as many as this one. */
  readonly openFiles?: number
}

const spawn = (variables: Record<string, string>, { openFiles }: StartOptions) => {
  const limit = openFiles === undefined ? [] : ["prlimit", `--nofile=${openFiles}`]
  return Effect.acquireRelease(
    Effect.sync(() =>
      // Each becomes the next one, so that the process is the service.
      new Deno.Command("env", {
        args: [...limit, Deno.execPath(), "run", "-A", "src/main.ts"],
        cwd: repository,
        clearEnv: true,
        env: {
          PATH: Deno.env.get("PATH") ?? "",
          HOME: Deno.env.get("HOME") ?? "",
          PORT: "0",
          API_KEYS: apiKeys,
          LOG_FORMAT: "json",
          ...variables,
        },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn()
    ),
    (child) => Effect.andThen(signal(child, "SIGKILL"), Effect.promise(() => child.status)),
  )
}

// A process that is gone needs no signal.
const signal = (child: Deno.ChildProcess, name: Deno.Signal) =>
  Effect.ignore(Effect.try({ try: () => child.kill(name), catch: () => "gone" }))

/** Starts the service, and waits until it listens. Killed at the latest when the scope closes. */
export const start = Effect.fnUntraced(function* (
  variables: Record<string, string>,
  options: StartOptions = {},
) {
  const child = yield* spawn(variables, options)
  const listening = yield* Deferred.make<number, ServiceNotStarted>()
  let output = ""
  const read = (stream: ReadableStream<Uint8Array>) =>
    stream.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({
        write: (text) => {
          output += text
          const port = /Listening on http:\/\/[^"]*?:(\d+)/.exec(output)?.[1]
          if (port !== undefined) Deferred.doneUnsafe(listening, Effect.succeed(Number(port)))
        },
      }),
    )
  const outputEnded = yield* Effect.forkScoped(
    Effect.promise(() => Promise.all([read(child.stdout), read(child.stderr)])),
  )
  yield* Fiber.join(outputEnded).pipe(
    Effect.andThen(Effect.promise(() => child.status)),
    Effect.flatMap(({ code }) => Deferred.fail(listening, new ServiceNotStarted({ output, code }))),
    Effect.forkScoped,
  )
  const port = yield* Deferred.await(listening)
  const service: ServiceProcess = {
    pid: child.pid,
    port,
    signal: (name) => signal(child, name),
    ended: Effect.promise(() => child.status),
    output: () => output,
    outputEnded: Effect.asVoid(Fiber.join(outputEnded)),
  }
  return service
})
