/**
 * A PostgreSQL proxy that sees what a client asks for: statements, rows and bytes are the same on
 * every machine, unlike seconds.
 */
import { Context, Effect, Layer } from "effect"
import { Buffer } from "node:buffer"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { Database } from "./Database.ts"

export interface Counts {
  readonly statements: number
  readonly parses: number
  readonly rows: number
  /** Without what prepares statements and opens connections. */
  readonly bytesSent: number
  readonly bytesReceived: number
}

/** What is called with each message in a direction: its type, and what follows its length. */
type OnMessage = (type: string, body: Buffer) => void

/** Splits a direction of a connection into messages; the first of a client has no type. */
const messages = (untypedFirst: boolean, onMessage: OnMessage) => {
  let untyped = untypedFirst
  let pending: Buffer = Buffer.alloc(0)
  return (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    while (true) {
      const start = untyped ? 0 : 1
      if (pending.length < start + 4) return
      const end = start + pending.readUInt32BE(start)
      if (pending.length < end) return
      if (!untyped) onMessage(String.fromCharCode(pending[0]!), pending.subarray(start + 4, end))
      untyped = false
      pending = pending.subarray(end)
    }
  }
}

/** Starts a proxy, at the URL that it gives; `watch` is called for each connection. */
export const listen = Effect.fnUntraced(function* (
  database: URL,
  watch: () => { readonly sent: OnMessage; readonly received: OnMessage },
) {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({
      host: database.hostname,
      port: Number(database.port || 5432),
      noDelay: true,
    })
    const { sent, received } = watch()
    client.on("data", messages(true, sent))
    upstream.on("data", messages(false, received))
    client.pipe(upstream)
    upstream.pipe(client)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on("error", () => socket.destroy())
      socket.on("close", () => sockets.delete(socket))
    }
  })
  yield* Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()))
    ),
    () =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      }),
  )
  const url = new URL(database)
  url.hostname = "127.0.0.1"
  url.port = String((server.address() as AddressInfo).port)
  return url
})

// Bind, Execute, Query, Sync, Close, Flush; DataRow, CommandComplete, BindComplete, CloseComplete,
// ReadyForQuery, EmptyQueryResponse, NoData, ErrorResponse.
const sent = "BEQSCH"
const received = "DC23ZInE"

/** A message is its type, its length and its body. */
const lengthOf = (body: Buffer) => 1 + 4 + body.length

export class Wire extends Context.Service<Wire, {
  /** The database's URL by way of the proxy. */
  readonly url: URL
  readonly counts: Effect.Effect<Counts>
}>()("latchkey/bench/Wire") {
  static readonly layer = Layer.effect(
    Wire,
    Effect.gen(function* () {
      const database = yield* Database
      const counts = { statements: 0, parses: 0, rows: 0, bytesSent: 0, bytesReceived: 0 }
      const url = yield* listen(database.url, () => ({
        sent: (type, body) => {
          if (type === "E" || type === "Q") counts.statements++
          if (type === "P") counts.parses++
          if (sent.includes(type)) counts.bytesSent += lengthOf(body)
        },
        received: (type, body) => {
          if (type === "D") counts.rows++
          if (received.includes(type)) counts.bytesReceived += lengthOf(body)
        },
      }))
      return Wire.of({ url, counts: Effect.sync(() => ({ ...counts })) })
    }),
  )
}
