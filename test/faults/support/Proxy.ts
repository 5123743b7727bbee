/**
 * A TCP proxy that does to connections what networks do to them.
 */
import { connect, createServer, type Socket } from "node:net"
import { Effect, Schedule } from "effect"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"

export type Behaviour =
  /** Passes everything on. */
  | { readonly _tag: "Pass" }
  /** Passes everything on, later. */
  | { readonly _tag: "Delay"; readonly millis: number }
  /** Takes what it gets and passes nothing on, in silence; connections are accepted all the same. */
  | { readonly _tag: "Blackhole" }
  /** Refuses new connections by resetting them. */
  | { readonly _tag: "Reset" }

export interface Proxy {
  readonly port: number
  readonly behave: (behaviour: Behaviour) => Effect.Effect<void>
  /** Where new connections lead to from now on. */
  readonly aim: (server: ConnectionParameters) => Effect.Effect<void>
  /** Resets every connection there is. */
  readonly reset: Effect.Effect<void>
  /** Waits until it has refused as many connections, in all. */
  readonly untilRefused: (connections: number) => Effect.Effect<void>
  /** Ends what the server says on every connection there is, and goes on listening to the client. */
  readonly halfClose: Effect.Effect<void>
}

const addressOf = ({ host = "127.0.0.1", port = 5432 }: ConnectionParameters) =>
  host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port: Number(port) }

/** Listens before a server of this machine until the scope closes. */
export const make = Effect.fnUntraced(function* (connection: ConnectionParameters) {
  let target = addressOf(connection)
  let behaviour: Behaviour = { _tag: "Pass" }
  let refused = 0
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket; lost: boolean }>()

  const server = createServer((client) => {
    if (behaviour._tag === "Reset") {
      refused++
      client.resetAndDestroy()
      return
    }
    const server = connect(target)
    const pair = { client, server, lost: false }
    pairs.add(pair)
    // What went into a blackhole never comes out: the connection stays dead when the network is back.
    const pass = (to: Socket) => (chunk: Uint8Array) => {
      if (behaviour._tag === "Blackhole") pair.lost = true
      if (pair.lost) return
      if (behaviour._tag === "Delay") setTimeout(() => to.write(chunk), behaviour.millis)
      else to.write(chunk)
    }
    client.on("data", pass(server))
    server.on("data", pass(client))
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    client.on("close", end)
    client.on("error", end)
    server.on("error", end)
    server.on("close", () => {
      if (!pair.lost && behaviour._tag !== "Blackhole") end()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        for (const { client, server } of pairs) {
          client.destroy()
          server.destroy()
        }
        server.close(() => resume(Effect.void))
      }),
  )
  const address = server.address()
  const proxy: Proxy = {
    port: address !== null && typeof address === "object" ? address.port : 0,
    behave: (next) =>
      Effect.sync(() => {
        behaviour = next
      }),
    aim: (server) =>
      Effect.sync(() => {
        target = addressOf(server)
      }),
    reset: Effect.sync(() => {
      for (const { client, server } of pairs) {
        client.resetAndDestroy()
        server.destroy()
      }
    }),
    untilRefused: (connections) =>
      Effect.asVoid(Effect.repeat(Effect.sync(() => refused >= connections), {
        until: (enough) => enough,
        schedule: Schedule.spaced("10 millis"),
      })),
    halfClose: Effect.sync(() => {
      for (const { client } of pairs) client.end()
    }),
  }
  return proxy
})
