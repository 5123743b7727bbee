/**
 * Further threads that answer requests: workers, each with an event loop, a heap and a share of the
 * limits of its own, behind the same port.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import type { NetAddress } from "effect/net"
import { EmbeddedServer, stop, stopped, ThreadStart } from "./messages.ts"

interface Thread {
  readonly worker: Worker
  readonly port: MessagePort
  readonly end: Promise<void>
}

/** A thread that dies takes the process with it, as an uncaught error in the first one would. */
const spawn = (start: ThreadStart): Thread => {
  const url = new URL("../thread.ts", import.meta.url).href
  const worker = new Worker(url, { type: "module", name: `thread ${start.index}` })
  const { port1, port2 } = new MessageChannel()
  const end = new Promise<void>((resolve) => {
    port1.addEventListener("message", ({ data }) => {
      if (data === stopped) resolve()
    })
  })
  port1.start()
  worker.postMessage(Schema.encodeSync(ThreadStart)(start), [port2])
  return { worker, port: port1, end }
}

export class Threads extends Context.Service<Threads, {
  /** Starts all but the first, which has begun to listen. */
  readonly start: (address: NetAddress.SocketAddress) => Effect.Effect<void>
  /** Tells them to stop; that they have is waited for when the layer closes. */
  readonly stop: Effect.Effect<void>
}>()("latchkey/threads/Threads") {
  static readonly layer = (count: number) =>
    Layer.effect(
      Threads,
      Effect.gen(function* () {
        const { config } = yield* PgClient.PgClient
        const threads: Array<Thread> = []
        yield* Effect.addFinalizer(() =>
          Effect.promise(async () => {
            await Promise.all(threads.map(({ end }) => end))
            threads.forEach(({ port, worker }) => {
              port.close()
              worker.terminate()
            })
          })
        )
        return Threads.of({
          start: (address) =>
            Effect.sync(() => {
              if (!("port" in address)) return
              const { port } = address
              // An external server may be more than this; threads know it from the environment.
              const embedded = Schema.is(Schema.toType(EmbeddedServer))(config) ? config : null
              for (let index = 1; index < count; index++) {
                threads.push(spawn(new ThreadStart({ index, count, port, embedded })))
              }
            }),
          stop: Effect.sync(() => threads.forEach(({ port }) => port.postMessage(stop))),
        })
      }),
    )
}
