/**
 * A stop of the listener that clients don't notice.
 *
 * When a server stops listening, Node closes idle connections at once, and a client that sends its
 * next request on one at that moment finds it reset, not knowing whether the request was carried out.
 * So at first each response says that its connection ends with it; and whoever has not yet heard that
 * the service is not ready is still served.
 */
import type { Server } from "node:http"
import { Server as Listener } from "node:net"
import { Clock, Duration, Effect } from "effect"
import { arrivals } from "../runtime/arrivals.ts"
import type { Connections } from "./listener/Connections.ts"

export interface DrainOptions {
  /** How long connections are let go one by one. */
  readonly shutdownDelay: Duration.Duration
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

/** How long the first request of a connection is waited for that was accepted at the last moment. */
const firstRequestTime = Duration.millis(500)

/** Stops the server; what is not done in time is cut off. */
export const drain = Effect.fnUntraced(function* (
  server: Server,
  connections: Connections,
  { shutdownDelay, timeToStop }: DrainOptions,
) {
  const time = yield* timeToStop
  connections.drain()
  // Also where there is no connection: clients who have not heard of the stop come with new ones.
  yield* Effect.sleep(Duration.min(shutdownDelay, time))
  // Node's own way of closing an HTTP server destroys the idle connections.
  Listener.prototype.close.call(server)
  // What has arrived by now is still read, and answered.
  yield* arrivals
  connections.endIdle("used")
  const allAreGone = Effect.callback<void>((resume) => {
    const stop = connections.whenNone(() => resume(Effect.void))
    return Effect.sync(stop)
  })
  yield* Effect.timeoutOption(allAreGone, Duration.min(firstRequestTime, yield* timeToStop))
  connections.endIdle("all")
  yield* Effect.timeoutOption(allAreGone, yield* timeToStop)
  connections.destroy()
  server.close()
})
