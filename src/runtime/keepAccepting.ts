/**
 * Has a listener that accepts no more connections listen again.
 *
 * Once accepting a connection has failed, as it does while the process has too many files open, Deno's
 * `node:http` accepts none ever after, and tells nobody: the process lives, and is deaf. Node goes on.
 * Checked with Deno 2.9.6; remove this when its listeners go on as well, which the test of it shows.
 *
 * When none was accepted for a while, the service connects to itself. If that connection is not taken
 * up either, the listener is closed and opened again; what is connected stays so.
 */
import type { Server } from "node:http"
import { type AddressInfo, connect, Server as Listener } from "node:net"
import { Duration, Effect, Option, Schedule } from "effect"
import { runPeriodically } from "../background/runPeriodically.ts"
import { arrivals } from "./arrivals.ts"

/** How the server listens, besides its address. */
export interface ListenOptions {
  /** Whether other listeners of the process may be the ones that take a connection up. */
  readonly reusePort: boolean
}

/** The time in which somebody is accepted, or the service looks for itself. */
const interval = "5 seconds"

/**
 * Succeeds when a connection of one's own is taken up, or cannot be made, which says nothing about the
 * listener. Nothing is sent on it, so that it is no request in metrics and traces: its other end closes it for having ended.
 */
const isTakenUp = ({ address: host, port }: AddressInfo) =>
  Effect.callback<void>((resume) => {
    const socket = connect({ host, port }, () => socket.end())
    // An error is followed by the close.
    socket.on("error", () => {}).on("close", () => resume(Effect.void)).resume()
    return Effect.sync(() => socket.destroy())
  })

/** Not interrupted by a stop: what then closes the listener must find it listening, or not at all. */
const listenAgain = (
  server: Server,
  { address: host, port }: AddressInfo,
  options: ListenOptions,
) =>
  Effect.uninterruptible(Effect.callback<void, Error>((resume) => {
    const done = (error?: Error) => {
      server.off("listening", done).off("error", done)
      resume(error === undefined ? Effect.void : Effect.fail(error))
    }
    // Of an HTTP server Node would close the idle connections as well.
    Listener.prototype.close.call(server)
    server.on("listening", done).on("error", done)
    server.listen({ ...options, host, port })
  }))

/** Looks after a server that listens at a port, until the scope closes. */
export const keepAccepting = Effect.fnUntraced(function* (server: Server, options: ListenOptions) {
  const address = server.address()
  if (address === null || typeof address === "string") return
  let hasAccepted = false
  server.on("connection", () => hasAccepted = true)

  /** Whether connections are taken up, as far as anybody can tell. */
  const isAccepting = Effect.gen(function* () {
    if (!hasAccepted) {
      const takenUp = yield* Effect.timeoutOption(isTakenUp(address), interval)
      // Where the time was over before the event loop came to look for what has arrived meanwhile.
      yield* arrivals
      if (Option.isNone(takenUp) && !hasAccepted) return false
    }
    hasAccepted = false
    return true
  })

  const run = Effect.gen(function* () {
    // It does not listen where an earlier run's attempt to has failed.
    if (server.listening) {
      if (yield* isAccepting) return
      yield* Effect.logWarning("The listener accepts no connections; listening again")
    }
    yield* listenAgain(server, address, options)
  })
  yield* runPeriodically({
    name: "listener",
    failing: "The listener cannot listen again",
    recovered: "The listener listens again",
    run,
    firstAfter: Duration.fromInputUnsafe(interval),
    schedule: Schedule.spaced(interval),
  })
})
