/** A contestant while it runs. */
import { Data, Effect, Schedule } from "effect"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { cache, type Contestant } from "./contestants.ts"
import { Failure } from "./Failure.ts"
import { apiKey } from "./operations.ts"
import type { Begun, Context, Operation, Request } from "./operations.ts"

export interface Server {
  readonly contestant: Contestant
  readonly port: number
  readonly pid: number
  /** What it prints, in a file. */
  readonly log: string
  /** Seconds from the start of the process to its first answer. */
  readonly startUp: number
}

/** A port that was free a moment ago. */
const freePort = Effect.promise(() =>
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

/** An operation outside a measurement: its requests and their answers. */
export const perform = Effect.fnUntraced(function* (
  { contestant, port }: Pick<Server, "contestant" | "port">,
  { name, status, requests, followUp }: Operation,
  context: Context,
  i: number,
) {
  const expect = Effect.fnUntraced(function* (request: Request, expected: number) {
    const { status, json } = yield* send(port, request)
    if (status === expected) return { request, json }
    return yield* new Failure({
      message: `${contestant.name} answers "${name}" with ${status}: ${JSON.stringify(json)}`,
    })
  })
  const first = yield* expect(requests(context)(i), status)
  if (followUp === undefined) return [first]
  const begun = first.json as unknown as Begun
  return [first, yield* expect(followUp.requests(context)(i, begun), followUp.status)]
})

const stop = (child: Deno.ChildProcess) =>
  Effect.promise(async () => {
    try {
      child.kill("SIGTERM")
    } catch {
      // It has ended already.
    }
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000)
    await child.status
    clearTimeout(timer)
  })

/** Another program has taken the port before the contestant came to listen at it. */
class PortTaken extends Data.TaggedError("PortTaken") {}

const startOnce = Effect.fnUntraced(function* (
  contestant: Contestant,
  databaseUrl: URL,
  probe: string,
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
  const failure = new Failure({ message: `${contestant.name} does not start; see ${log}` })
  // Whoever answers when it has ended is another program.
  const ended = Effect.gen(function* () {
    yield* Effect.promise(() => child.status)
    const text = yield* Effect.promise(() => Deno.readTextFile(log))
    return yield* /EADDRINUSE|address (?:is )?already in use/i.test(text)
      ? Effect.fail(new PortTaken())
      : Effect.fail(failure)
  })
  yield* send(port, { method: "GET", path: probe }).pipe(
    Effect.filterOrFail(({ status }) => status !== 503, () => "It is not ready"),
    Effect.retry({ schedule: Schedule.spaced("5 millis"), times: 60_000 }),
    Effect.mapError(() => failure),
    Effect.raceFirst(ended),
  )
  const startUp = (performance.now() - startedAt) / 1000
  const server: Server = { contestant, port, pid: child.pid, log, startUp }
  return server
})

/** Starts a contestant and waits for an answer; what it prints is kept in a file. */
export const start = (contestant: Contestant, databaseUrl: URL, probe = "/v1/users/0") =>
  startOnce(contestant, databaseUrl, probe).pipe(
    Effect.retry({ times: 4, while: ({ _tag }) => _tag === "PortTaken" }),
    Effect.catchTag(
      "PortTaken",
      () => new Failure({ message: `${contestant.name} finds no port that stays free` }),
    ),
  )
