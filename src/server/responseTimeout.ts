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
 * Resets the connections of a server whose clients have taken nothing of what is being sent to them for
 * longer than the time limit; gives what stops that.
 */
export const limitResponseTime = (server: Server, timeout: Duration.Duration): () => void => {
  const timeoutMs = Duration.toMillis(timeout)
  const progressOf = new Map<Socket, Progress>()
  server.on("connection", (socket) => {
    progressOf.set(socket, { sent: 0, since: performance.now() })
    socket.once("close", () => progressOf.delete(socket))
  })
  const look = () => {
    const now = performance.now()
    progressOf.forEach((progress, socket) => {
      const unsent = socket.writableLength
      // What is written counts at once in `bytesWritten`, what is taken only when a whole chunk is.
      const sent = unsent === 0 ? progress.sent : socket.bytesWritten - unsent
      if (unsent === 0 || sent !== progress.sent) {
        progress.sent = sent
        progress.since = now
      } else if (now - progress.since >= timeoutMs) {
        // With a reset: otherwise the system would keep what is unsent for minutes.
        socket.resetAndDestroy()
      }
    })
  }
  const timer = setInterval(look, interval)
  return () => clearInterval(timer)
}
