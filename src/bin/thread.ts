/**
 * A further thread of the service: a worker that `Threads` starts.
 */
import "../runtime/disableAsyncHooks.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { NodeServices } from "@effect/platform-node"
import { Cause, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { makeChangeLog, reasonOf } from "../background/ChangeLog.ts"
import { Fatal } from "../background/Fatal.ts"
import * as TaskHealth from "../background/TaskHealth.ts"
import * as Observability from "../process/Observability.ts"
import { onUncaught } from "../process/onUncaught.ts"
import * as Service from "../Service.ts"
import { Settings } from "../config/Settings.ts"
import { stop, type ThreadReport, ThreadStart } from "../threads/messages.ts"

const toldToStop = (port: MessagePort) =>
  Effect.callback<void>((resume) => {
    port.addEventListener("message", ({ data }) => {
      if (data === stop) resume(Effect.void)
    })
    port.start()
  })

/** The database may be away just now: the others answer that, and this thread joins them later. */
const serve = Effect.fnUntraced(function* (start: ThreadStart, onListening: Effect.Effect<void>) {
  const health = yield* TaskHealth.make(
    "thread-start",
    makeChangeLog({
      failing: `Thread ${start.index + 1} cannot start; it tries again every second`,
      recovered: `Thread ${start.index + 1} has started`,
    }),
  )
  return yield* Layer.build(Service.layerOfThread(start)).pipe(
    Effect.exit,
    Effect.flatMap((exit) => Effect.andThen(health.record(exit), exit)),
    Effect.andThen(onListening),
    Effect.andThen(Effect.never),
    Effect.scoped,
    Effect.retry(Schedule.spaced("1 second")),
  )
})

const report = (port: MessagePort, message: ThreadReport) =>
  Effect.sync(() => port.postMessage(message))

const run = (start: ThreadStart, port: MessagePort) =>
  serve(start, report(port, { status: "listening" })).pipe(
    Effect.raceFirst(toldToStop(port)),
    Effect.raceFirst(Effect.flatMap(Fatal, ({ failed }) => failed)),
    Effect.provide(Fatal.layer),
    Effect.provide(Observability.layer),
    Effect.provide(Settings.layer),
    Effect.provide(NodeServices.layer),
    Effect.onExit((exit) =>
      report(
        port,
        Exit.isSuccess(exit)
          ? { status: "stopped" }
          : { status: "failed", reason: reasonOf(exit.cause) },
      )
    ),
  )

addEventListener("message", (event) => {
  if (!(event instanceof MessageEvent)) return
  const [port] = event.ports
  if (port === undefined) return
  onUncaught((error) => {
    const cause = Cause.die(error)
    Effect.runFork(
      Observability.reportEnd(cause, { started: true }).pipe(
        Effect.ensuring(report(port, { status: "failed", reason: reasonOf(cause) })),
      ),
    )
  })
  Effect.runFork(run(Schema.decodeUnknownSync(ThreadStart)(event.data), port))
}, { once: true })
