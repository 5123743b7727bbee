/**
 * Connections of clients: which of their requests are begun, and how and when each connection ends.
 *
 * Everything here holds for every response, whichever way it is made. A connection that is to end says
 * so in its last response, and no request that comes after that is begun (RFC 9112, 9.6). It is then
 * still read from for a while: closing a socket on which something has arrived that was not read makes
 * the system reset it, and a client may lose the response over that.
 */
import type { Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { type Answer, formatResponse, send } from "../problems/problemResponse.ts"

/** Requests of one connection without a response; the last of them ends the connection. */
const maximumPipelined = 32

/** Milliseconds that a connection is read from after its last response. */
const lingerMs = 2_000

interface Connection {
  /** The response to the request that was begun last, until it is sent. */
  latest: ServerResponse | undefined
  /** Those before it that are not sent: a client that pipelines has some. */
  earlier: Array<ServerResponse> | undefined
  /** Whether a request was begun on it, ever. */
  isUsed: boolean
  /** Whether nothing more is begun. */
  isEnding: boolean
  /** What is to be done when all responses are sent. */
  onSent: (() => void) | undefined
}

const isIdle = ({ latest, earlier = [] }: Connection) =>
  latest === undefined && earlier.length === 0

/** Has the latest response end the connection, if it can still say so. */
const endAfterLatest = (connection: Connection) => {
  if (connection.latest === undefined || connection.latest.headersSent) return
  connection.latest.setHeader("connection", "close")
  connection.isEnding = true
}

/** Takes note that a response is sent, or never will be. */
const forget = (connection: Connection, response: ServerResponse) => {
  if (connection.earlier?.[0] === response) connection.earlier.shift()
  else if (connection.latest === response) connection.latest = undefined
  if (isIdle(connection)) connection.onSent?.()
}

/** Ends a connection whose responses are all sent. */
const linger = (socket: Socket) => {
  if (socket.destroyed) return
  socket.end()
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once("close", () => clearTimeout(timer))
}

/**
 * Drops whatever else arrives on a connection that is not spoken HTTP on any more. Deno 2.9 has given
 * its parser back by then, and another connection may have it, but still has what arrives here read by
 * that parser: the other client would get the responses.
 */
const leaveParser = (socket: Socket) => {
  socket.removeAllListeners("data").removeAllListeners("end").resume()
}

/** The connections of a server that does not listen yet. */
export class Connections {
  readonly #connections = new Map<Socket, Connection>()
  readonly #waiting = new Set<() => void>()
  /** Listens to the end of each response; one for all of them. */
  readonly #onClose: (this: ServerResponse) => void
  #isDraining = false

  constructor(
    server: Server,
    private readonly options: {
      /** How many at once; those that come beyond are closed. */
      readonly max: number
      readonly onRefused: () => void
      /** Called when a response was handed to the system, or its client is gone. */
      readonly onEnd: (response: ServerResponse) => void
      /** Called when the client of a response is gone before the response was made. */
      readonly onHangUp: (response: ServerResponse) => void
    },
  ) {
    server.on("connection", (socket) => {
      // Not `server.maxConnections`: Deno tells nobody of those that it closes.
      if (this.count >= options.max) {
        options.onRefused()
        socket.destroy()
        return
      }
      const connection: Connection = {
        latest: undefined,
        earlier: undefined,
        isUsed: false,
        isEnding: false,
        onSent: undefined,
      }
      this.#connections.set(socket, connection)
      socket.once("close", () => this.#onDisconnect(socket, connection))
      // Node calls it after a response that ends its connection.
      socket.destroySoon = () => linger(socket)
    })
    const connections = this.#connections
    this.#onClose = function () {
      const connection = connections.get(this.req.socket)
      if (connection !== undefined) forget(connection, this)
      options.onEnd(this)
    }
  }

  #onDisconnect(socket: Socket, { latest, earlier = [] }: Connection) {
    this.#connections.delete(socket)
    for (const response of latest === undefined ? earlier : [...earlier, latest]) {
      if (!response.writableEnded) this.options.onHangUp(response)
      // Node tells only the response whose turn it is.
      if (response.socket === null) response.destroy().emit("close")
    }
    if (this.#connections.size === 0) this.#waiting.forEach((done) => done())
  }

  /** Whether a request may be begun. Otherwise it gets no response: its connection ends. */
  begin(response: ServerResponse): boolean {
    const connection = this.#connections.get(response.req.socket)
    if (connection === undefined || connection.isEnding) {
      response.req.resume()
      return false
    }
    if (connection.latest !== undefined) (connection.earlier ??= []).push(connection.latest)
    connection.latest = response
    connection.isUsed = true
    response.on("close", this.#onClose)
    const isLast = this.#isDraining || !response.shouldKeepAlive ||
      (connection.earlier?.length ?? 0) + 1 >= maximumPipelined
    if (isLast) endAfterLatest(connection)
    return true
  }

  /** Has a connection end with a response that is not sent yet. */
  endAfter(response: ServerResponse) {
    const connection = this.#connections.get(response.req.socket)
    if (connection?.latest === response) endAfterLatest(connection)
  }

  /**
   * Ends a connection on which something came that is no HTTP. If it is a part of a request that has
   * no response yet, the answer is that response; otherwise it follows those that are owed, with
   * `headers` besides. Gives whether it is the response to a request.
   */
  endWith(socket: Socket, answer: Answer, headers: Answer["headers"]): boolean {
    leaveParser(socket)
    const connection = this.#connections.get(socket)
    if (connection === undefined) {
      socket.destroy()
      return false
    }
    const { latest, isEnding } = connection
    const isIncomplete = latest?.req.complete === false
    if (isIncomplete && !latest.headersSent) {
      endAfterLatest(connection)
      send(latest, answer)
      // Whatever reads the body would wait for the rest of it; the response is made already.
      if (latest.req.listenerCount("error") > 0) {
        latest.req.emit("error", new Error("Malformed body"))
      }
      return true
    }
    connection.isEnding = true
    connection.onSent = () => {
      if (!isEnding && !isIncomplete) {
        socket.write(formatResponse({ ...answer, headers: { ...answer.headers, ...headers } }))
      }
      linger(socket)
    }
    if (isIdle(connection)) connection.onSent()
    return false
  }

  /** From now on each connection ends with its next response. */
  drain() {
    this.#isDraining = true
    this.#connections.forEach(endAfterLatest)
  }

  /** Ends the connections on which no request is under way: all, or those that had one before. */
  endIdle(which: "used" | "all") {
    this.#connections.forEach((connection, socket) => {
      if (isIdle(connection) && (connection.isUsed || which === "all")) linger(socket)
    })
  }

  /** How many there are. */
  get count(): number {
    return this.#connections.size
  }

  /** Calls back when there is no connection, unless what it gives is called before. */
  whenNone(done: () => void): () => void {
    if (this.#connections.size === 0) done()
    else this.#waiting.add(done)
    return () => this.#waiting.delete(done)
  }

  /** Closes all at once. */
  destroy() {
    this.#connections.forEach((_, socket) => socket.destroy())
  }
}
