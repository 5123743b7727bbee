/**
 * A stop of the listener that clients don't notice.
 *
 * When a server stops listening, Node closes idle connections at once, and a client that sends its
 * next request on one at that moment finds it reset, not knowing whether the request was carried out.
 * So at first each answer says that its connection ends with it; and whoever has not yet heard that
 * the service is not ready is still served.
 */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { Clock, Duration, Effect, Layer } from "effect"

export interface DrainOptions {
  /** How long connections are let go one by one. */
  readonly drainTime: Duration.Duration
  /** What is left of the time for the whole stop. */
  readonly timeToStop: Effect.Effect<Duration.Duration>
}

/** What is left of a time that begins to run when it is first asked for. */
export const makeCountdown = (total: Duration.Duration): Effect.Effect<Duration.Duration> => {
  let end: number | undefined
  return Effect.map(Clock.currentTimeMillis, (now) => {
    end ??= now + Duration.toMillis(total)
    return Duration.millis(Math.max(0, end - now))
  })
}

/** Stops the server when its scope closes; what is not done in time is cut off. */
export const layer = (server: Server, { drainTime, timeToStop }: DrainOptions) => {
  const connections = new Set<Socket>()
  const waiting = new Set<() => void>()
  let draining = false
  server.on("connection", (socket) => {
    connections.add(socket)
    socket.once("close", () => {
      connections.delete(socket)
      if (connections.size === 0) waiting.forEach((done) => done())
    })
  })
  server.prependListener("request", (_, response) => {
    if (draining) response.setHeader("connection", "close")
  })

  const untilAllAreGone = Effect.callback<void>((resume) => {
    const done = () => resume(Effect.void)
    if (connections.size === 0) return done()
    waiting.add(done)
    return Effect.sync(() => waiting.delete(done))
  })
  return Layer.effectDiscard(Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const time = yield* timeToStop
      draining = true
      // Not only until they are gone: a client whose connection was closed comes back with a new one.
      if (connections.size > 0) yield* Effect.sleep(Duration.min(drainTime, time))
      server.close()
      yield* Effect.timeoutOption(untilAllAreGone, yield* timeToStop)
      server.closeAllConnections()
    })
  ))
}
