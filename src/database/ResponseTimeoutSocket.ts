/**
 * Connections that give up a server which has fallen silent.
 *
 * A network can swallow what is sent without a word to either end: a firewall that forgot the
 * connection, a machine that lost its power. PostgreSQL ends each statement at `statement_timeout`,
 * so that whoever has waited for longer than that waits for nobody.
 */
import { connect, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { Duration } from "effect"
import type { ConnectionParameters } from "./ConnectionParameters.ts"

/** What the server may need beyond the time of a statement: to end it, and to say so. */
const grace = Duration.seconds(1)

const connected = ({ host = "localhost", port = 5432, path, keepAlive }: ConnectionParameters) => {
  const socketPath = path ?? (host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined)
  return socketPath !== undefined ? connect({ path: socketPath }) : connect({
    host,
    port,
    noDelay: true,
    ...(keepAlive === undefined
      ? {}
      : { keepAlive: true, keepAliveInitialDelay: Duration.toMillis(keepAlive) }),
  })
}

/** Into how many parts the patience is divided; it may be exceeded by one. */
const looks = 10

/**
 * Looks from time to time. The time limit of a socket would be started anew, in JavaScript, with each
 * chunk that is written or read.
 */
const watch = (socket: Socket, patience: Duration.Duration) => {
  let writtenWhenHeard = 0
  let looksInSilence = 0
  socket.on("data", () => {
    writtenWhenHeard = socket.bytesWritten
    looksInSilence = 0
  })
  const look = () => {
    looksInSilence = socket.bytesWritten > writtenWhenHeard ? looksInSilence + 1 : 0
    if (looksInSilence > looks) socket.destroy(new Error("The server is silent"))
  }
  const timer = setInterval(look, Duration.toMillis(patience) / looks)
  socket.once("close", () => clearInterval(timer))
}

/** The socket as a stream that TLS can't see through: it would take over what lies below a socket. */
const relay = (socket: Socket) => {
  const stream = new Duplex({
    read: () => {
      socket.resume()
    },
    write: (chunk, _, done) => {
      socket.write(chunk, done)
    },
    final: (done) => {
      socket.end(done)
    },
    destroy: (error, done) => {
      socket.destroy()
      done(error)
    },
  })
  socket.on("data", (chunk) => {
    if (!stream.push(chunk)) socket.pause()
  })
  socket.on("end", () => stream.push(null))
  socket.on("error", (error) => stream.destroy(error))
  socket.on("close", () => stream.destroy())
  return stream
}

/**
 * Connects; the connection ends when an answer is owed for longer than a statement may take. Without a
 * bound on statements, there is none on the server's silence.
 */
export const open = (
  connection: ConnectionParameters,
  statementTimeout: Duration.Duration | undefined,
): Duplex => {
  const socket = connected(connection)
  if (statementTimeout !== undefined) watch(socket, Duration.sum(statementTimeout, grace))
  return connection.ssl === undefined || connection.ssl === false ? socket : relay(socket)
}
