/** The JavaScript heap of a process that runs with Deno's inspector, seen from outside. */
import { Effect, Schedule } from "effect"
import type { Contestant } from "./contestants.ts"
import { Failure } from "./Failure.ts"
import type { Server } from "./Server.ts"

interface Target {
  readonly webSocketDebuggerUrl: string
}

const failure = (what: string) => (cause: unknown) =>
  new Failure({ message: `The inspector ${what}: ${cause}` })

/** The contestant, with an inspector at a free port, and V8 flags. */
export const inspected = (
  contestant: Contestant,
  v8Flags: ReadonlyArray<string> = [],
): Contestant => {
  const [deno, run, ...rest] = contestant.command
  const flags = v8Flags.length === 0 ? [] : [`--v8-flags=${v8Flags.join(",")}`]
  return {
    ...contestant,
    command: [deno, run!, "--inspect=127.0.0.1:0", ...flags, ...rest],
  }
}

/** The first line of the log says where it listens. */
const inspectorOf = ({ log }: Server) =>
  Effect.promise(() => Deno.readTextFile(log)).pipe(
    Effect.flatMap((text) =>
      Effect.fromNullishOr(/^Debugger listening on ws:\/\/([^/]+)/m.exec(text)?.[1])
    ),
    Effect.mapError(failure("does not say where it listens")),
  )

const open = (url: string) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        new Promise<WebSocket>((resolve, reject) => {
          const socket = new WebSocket(url)
          socket.onopen = () => resolve(socket)
          socket.onerror = () => reject("it closes the connection")
        }),
      catch: failure("cannot be reached"),
    }),
    (socket) => Effect.sync(() => socket.close()),
  )

/** Connects to the inspector of a server that runs already. */
export const connect = Effect.fnUntraced(function* (server: Server) {
  const inspector = yield* inspectorOf(server)
  const [target] = yield* Effect.tryPromise({
    try: async () => (await (await fetch(`http://${inspector}/json`)).json()) as [Target],
    catch: failure("does not answer"),
  }).pipe(Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 1_000 }))
  const socket = yield* open(target.webSocketDebuggerUrl)
  let calls = 0
  /** One at a time. */
  const call = (method: string) =>
    Effect.tryPromise({
      try: () =>
        new Promise<Record<string, number>>((resolve, reject) => {
          const id = ++calls
          socket.onmessage = ({ data }) => {
            const answer = JSON.parse(data)
            if (answer.id !== id) return
            if (answer.error === undefined) resolve(answer.result)
            else reject(answer.error.message)
          }
          socket.onclose = () => reject("it closes the connection")
          socket.send(JSON.stringify({ id, method }))
        }),
      catch: failure(`refuses ${method}`),
    })
  return {
    collect: call("HeapProfiler.collectGarbage"),
    /** Bytes. */
    used: Effect.map(call("Runtime.getHeapUsage"), ({ usedSize }) => usedSize!),
  }
})
