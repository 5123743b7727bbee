/**
 * A further thread of the service: a worker that `Threads` starts.
 */
import "./withoutAsyncContext.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer, Schedule, Schema } from "effect"
import * as Observability from "./Observability.ts"
import * as Service from "./Service.ts"
import { Settings } from "./Settings.ts"
import { stop, stopped, ThreadStart } from "./threads/messages.ts"

const toldToStop = (port: MessagePort) =>
  Effect.callback<void>((resume) => {
    port.addEventListener("message", ({ data }) => {
      if (data === stop) resume(Effect.void)
    })
    port.start()
  })

/** The database may be away just now: the others answer that, and this thread joins them later. */
const serve = (start: ThreadStart) =>
  Layer.launch(Service.layerOfThread(start)).pipe(
    Effect.tapError(({ message }) => Effect.logWarning(`A thread could not start: ${message}`)),
    Effect.retry(Schedule.spaced("1 second")),
  )

const run = (start: ThreadStart, port: MessagePort) =>
  serve(start).pipe(
    Effect.raceFirst(toldToStop(port)),
    Effect.ensuring(Effect.sync(() => port.postMessage(stopped))),
    Effect.provide(Observability.layer),
    Effect.provide(Settings.layer),
    Effect.provide(NodeServices.layer),
  )

addEventListener("message", (event) => {
  if (!(event instanceof MessageEvent)) return
  const [port] = event.ports
  if (port === undefined) return
  Effect.runFork(run(Schema.decodeUnknownSync(ThreadStart)(event.data), port))
}, { once: true })
