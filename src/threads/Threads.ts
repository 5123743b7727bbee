/**
 * Further threads that answer requests: workers, each with an event loop, a heap and a share of the
 * limits of its own, behind the same port.
 *
 * None of them is done without in silence: when one fails, the service ends, as it would after an
 * uncaught error in its first thread, and whoever supervises the process starts all of them again.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Deferred, type Duration, Effect, Layer, Option, Schema } from "effect"
import type { NetAddress } from "effect/net"
import { TimeToClose } from "../background/closingWithin.ts"
import { Fatal } from "../background/Fatal.ts"
import { EmbeddedServer, stop, ThreadReport, ThreadStart } from "./messages.ts"

interface Thread {
  readonly name: string
  readonly worker: Worker
  readonly port: MessagePort
  readonly listening: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<void>
  /** Whether it has been told to stop. */
  isStopping: boolean
}

const isReport = Schema.is(ThreadReport)

/** What runs in each of them. */
const threadModule = new URL("../bin/thread.ts", import.meta.url)

const spawn = Effect.fnUntraced(function* (start: ThreadStart, module: URL) {
  const { fail } = yield* Fatal
  const runFork = Effect.runForkWith(yield* Effect.context())
  const name = `Thread ${start.index + 1}`
  const listening = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<void>()
  const worker = new Worker(module.href, { type: "module", name })
  const { port1: port, port2 } = new MessageChannel()
  const thread: Thread = { name, worker, port, listening, ended, isStopping: false }
  const breaks = (how: string) => {
    if (Deferred.isDoneUnsafe(ended)) return
    const message = `${name} ${how.replace(/\.$/, "")}.`
    runFork(thread.isStopping ? Effect.logError(message) : fail(message))
    Deferred.doneUnsafe(ended, Effect.void)
  }
  // Without a listener the error would end the process at once, requests under way and all.
  worker.addEventListener("error", (event) => {
    event.preventDefault()
    breaks(`died: ${event.message}`)
  })
  port.addEventListener("message", ({ data }) => {
    if (!isReport(data)) return
    if (data.status === "failed") breaks(`has failed: ${data.reason}`)
    else if (data.status === "listening") Deferred.doneUnsafe(listening, Effect.void)
    else if (thread.isStopping) Deferred.doneUnsafe(ended, Effect.void)
    else breaks("has ended")
  })
  port.start()
  worker.postMessage(Schema.encodeSync(ThreadStart)(start), [port2])
  return thread
})

/** Waits until a thread has ended, or for the time that is left; then there is no more of it. */
const close = ({ name, port, worker, ended }: Thread, time: Duration.Duration) =>
  Deferred.await(ended).pipe(
    Effect.interruptible,
    Effect.timeoutOption(time),
    Effect.flatMap(Option.match({
      onSome: () => Effect.void,
      onNone: () => Effect.logWarning(`${name} has not stopped in time; terminating it`),
    })),
    Effect.ensuring(Effect.sync(() => {
      port.close()
      worker.terminate()
    })),
  )

export class Threads extends Context.Service<Threads, {
  /** Starts all but the first, which has begun to listen, and waits until each of them listens. */
  readonly start: (address: NetAddress.SocketAddress) => Effect.Effect<void>
  /** Tells them to stop; that they have is waited for when the layer closes. */
  readonly stop: Effect.Effect<void>
}>()("latchkey/threads/Threads") {
  static readonly layer = (count: number, module: URL = threadModule) =>
    Layer.effect(
      Threads,
      Effect.gen(function* () {
        const { config } = yield* PgClient.PgClient
        const timeToClose = yield* TimeToClose
        const fatal = yield* Fatal
        const threads: Array<Thread> = []
        yield* Effect.addFinalizer(() =>
          Effect.flatMap(
            timeToClose,
            (time) =>
              Effect.forEach(threads, (thread) => close(thread, time), {
                concurrency: "unbounded",
                discard: true,
              }),
          )
        )
        return Threads.of({
          start: Effect.fnUntraced(function* (address: NetAddress.SocketAddress) {
            if (!("port" in address)) return
            const { port } = address
            // An external server may be more than this; threads know it from the environment.
            const embedded = Schema.is(Schema.toType(EmbeddedServer))(config) ? config : null
            for (let index = 1; index < count; index++) {
              const start = new ThreadStart({ index, count, port, embedded })
              threads.push(yield* spawn(start, module))
            }
            yield* Effect.forEach(threads, ({ listening }) => Deferred.await(listening))
          }, Effect.provideService(Fatal, fatal)),
          stop: Effect.sync(() =>
            threads.forEach((thread) => {
              thread.isStopping = true
              if (Deferred.isDoneUnsafe(thread.listening)) thread.port.postMessage(stop)
              // It serves nobody yet, and might take long to hear of it.
              else Deferred.doneUnsafe(thread.ended, Effect.void)
            })
          ),
        })
      }),
    )
}
