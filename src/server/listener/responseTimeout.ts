/**
 * The limit on the time that clients take to read what they are sent.
 *
 * A client that asks and does not read would otherwise hold its connection, and in memory whatever the
 * system has not taken of its responses, for as long as it likes.
 */
import { Duration } from "effect"
import type { Server } from "node:http"
import type { Socket } from "node:net"

/** Milliseconds between two looks. */
const interval = 1_000

/** Bytes that the system had taken of what was written, and since when it has taken none. */
interface Progress {
  sent: number
  since: number
}

/**
 * Looks after the connections of a server: each look, at a time in milliseconds, resets those whose
 * clients have taken nothing of what is being sent to them for as long as the timeout.
 */
export const makeLook = (server: Server, timeoutMs: number): (now: number) => void => {
  const progressOf = new Map<Socket, Progress | undefined>()
  server.on("connection", (socket) => {
    progressOf.set(socket, undefined)
    socket.once("close", () => progressOf.delete(socket))
  })
  return (now) =>
    progressOf.forEach((progress, socket) => {
      const unsent = socket.writableLength
      // What is written counts at once in `bytesWritten`, what is taken only when a whole chunk is.
      const sent = unsent === 0 ? undefined : socket.bytesWritten - unsent
      if (sent === undefined) {
        if (progress !== undefined) progressOf.set(socket, undefined)
      } else if (sent !== progress?.sent) {
        progressOf.set(socket, { sent, since: now })
      } else if (now - progress.since >= timeoutMs) {
        // With a reset: otherwise the system would keep what is unsent for minutes.
        socket.resetAndDestroy()
      }
    })
}

/** Holds the clients of a server to the timeout; gives what stops that. */
export const limitResponseTime = (server: Server, timeout: Duration.Duration): () => void => {
  const look = makeLook(server, Duration.toMillis(timeout))
  const timer = setInterval(() => look(performance.now()), interval)
  return () => clearInterval(timer)
}
