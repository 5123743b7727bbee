/**
 * A PostgreSQL proxy that counts what a client asks for: statements, rows and bytes are the same on
 * every machine, unlike seconds.
 */
import { Context, Effect, Layer } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import type { Buffer } from "node:buffer"
import { Database } from "./Database.ts"

export interface Counts {
  readonly statements: number
  readonly parses: number
  readonly rows: number
  /** Without what prepares statements and opens connections. */
  readonly bytesSent: number
  readonly bytesReceived: number
}

/** Calls back with the type and the length of each message in a direction of a connection. */
const messages = (untypedFirst: boolean, onMessage: (type: string, length: number) => void) => {
  let untyped = untypedFirst
  let header: Array<number> = []
  let skip = 0
  return (chunk: Buffer) => {
    let at = 0
    while (at < chunk.length) {
      if (skip > 0) {
        const skipped = Math.min(skip, chunk.length - at)
        skip -= skipped
        at += skipped
        continue
      }
      header.push(chunk[at++]!)
      // The first message of a client has a length, but no type before it.
      if (header.length < (untyped ? 4 : 5)) continue
      const [a, b, c, d] = header.slice(-4) as [number, number, number, number]
      const length = (a << 24) | (b << 16) | (c << 8) | d
      if (!untyped) onMessage(String.fromCharCode(header[0]!), length + 1)
      skip = length - 4
      header = []
      untyped = false
    }
  }
}

// Bind, Execute, Query, Sync, Close, Flush; DataRow, CommandComplete, BindComplete, CloseComplete,
// ReadyForQuery, EmptyQueryResponse, NoData, ErrorResponse.
const sent = "BEQSCH"
const received = "DC23ZInE"

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
      const sockets = new Set<Socket>()
      const server = createServer({ noDelay: true }, (client) => {
        const upstream = connect({
          host: database.url.hostname,
          port: Number(database.url.port || 5432),
          noDelay: true,
        })
        const countSent = messages(true, (type, length) => {
          if (type === "E" || type === "Q") counts.statements++
          if (type === "P") counts.parses++
          if (sent.includes(type)) counts.bytesSent += length
        })
        const countReceived = messages(false, (type, length) => {
          if (type === "D") counts.rows++
          if (received.includes(type)) counts.bytesReceived += length
        })
        client.on("data", countSent)
        upstream.on("data", countReceived)
        client.pipe(upstream)
        upstream.pipe(client)
        for (const socket of [client, upstream]) {
          sockets.add(socket)
          socket.on("error", () => socket.destroy())
          socket.on("close", () => sockets.delete(socket))
        }
      })
      const url = new URL(database.url)
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
      url.hostname = "127.0.0.1"
      url.port = String((server.address() as AddressInfo).port)
      return Wire.of({ url, counts: Effect.sync(() => ({ ...counts })) })
    }),
  )
}
