/** A contestant while it runs. */
import { Effect, Schedule } from "effect"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { cache, type Contestant } from "./contestants.ts"
import { Failure } from "./Failure.ts"
import { apiKey } from "./operations.ts"
import type { Request } from "./operations.ts"

export interface Server {
  readonly contestant: Contestant
  readonly port: number
  readonly pid: number
  /** Seconds from the start of the process to its first answer. */
  readonly startUp: number
}

export const freePort = Effect.promise(() =>
  new Promise<number>((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address() as AddressInfo
      listener.close(() => resolve(port))
    })
  })
)

/** One request outside a measurement. */
export const send = (port: number, { method, path, body }: Request, key = apiKey) =>
  Effect.tryPromise({
    try: async () => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...body === undefined ? {} : { "content-type": "application/json" },
        },
        body: body === undefined ? null : JSON.stringify(body),
      })
      const text = await response.text()
      // An error may be no JSON, and what is deleted answers with nothing.
      const json: Record<string, unknown> = response.ok && text !== "" ? JSON.parse(text) : { text }
      return { status: response.status, json }
    },
    catch: (cause) => new Failure({ message: `${method} ${path} failed: ${cause}` }),
  })

const stop = (child: Deno.ChildProcess) =>
  Effect.promise(async () => {
    try {
      child.kill("SIGTERM")
    } catch {
      // It has ended already.
    }
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000)
    await child.status
    clearTimeout(timer)
  })

/** Starts a contestant and waits for an answer; what it prints is kept in a file. */
export const start = Effect.fnUntraced(function* (
  contestant: Contestant,
  databaseUrl: URL,
  probe = "/v1/users/0",
) {
  const port = yield* freePort
  const log = `${cache}/${contestant.name.replaceAll(/\W+/g, "-").toLowerCase()}.log`
  const [program, ...args] = contestant.command
  const startedAt = performance.now()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new Deno.Command("/bin/sh", {
        args: ["-c", `exec "$@" > "$0" 2>&1`, log, program, ...args],
        cwd: contestant.directory,
        env: contestant.environment(databaseUrl, port),
        stdin: "null",
      }).spawn()
    ),
    stop,
  )
  yield* send(port, { method: "GET", path: probe }).pipe(
    Effect.filterOrFail(({ status }) => status !== 503, () => "It is not ready"),
    Effect.retry({ schedule: Schedule.spaced("5 millis"), times: 6000 }),
    Effect.mapError(() =>
      new Failure({ message: `${contestant.name} does not start; see ${log}` })
    ),
  )
  const startUp = (performance.now() - startedAt) / 1000
  const server: Server = { contestant, port, pid: child.pid, startUp }
  return server
})
