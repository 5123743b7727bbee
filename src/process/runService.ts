/**
 * The service as a process, from its settings to its exit code.
 *
 * It ends with 0 when it was told to stop, during the start as well, and with 1 when it could not
 * start or go on. From either on that takes `SHUTDOWN_TIMEOUT` at most; a second signal ends it at
 * once.
 */
import { NodeServices } from "@effect/platform-node"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import process from "node:process"
import { Fatal } from "../background/Fatal.ts"
import { Settings } from "../config/Settings.ts"
import * as Observability from "./Observability.ts"
import type { Explained } from "./reportFailure.ts"
import { runMain } from "./runMain.ts"

/**
 * Milliseconds in which another signal is taken for the echo of the first: a service manager sends
 * it to `deno task` and to the service, and `deno task` passes it on.
 */
const echo = 250

/** The exit codes of a process that a signal ends. */
const signals = { SIGINT: 130, SIGTERM: 143 } as const

const endAtNextSignal = Effect.sync(() => {
  const since = performance.now()
  for (const [name, code] of Object.entries(signals)) {
    process.on(name, () => {
      if (performance.now() - since >= echo) Deno.exit(code)
    })
  }
})

/** Ends the process after a time, whatever it still waits for. */
const endAfter = Effect.fnUntraced(function* (time: Duration.Duration, code: number) {
  const end = Effect.logWarning("Shutdown timed out; terminating").pipe(
    Effect.ensuring(Effect.sync(() => Deno.exit(code))),
  )
  yield* Effect.forkDetach(Effect.interruptible(Effect.delay(end, time)))
})

const isStop = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

interface Process {
  /** Whether the service has started. */
  started: boolean
}

/** Builds the service and keeps it until it is told to stop or cannot go on; then closes it. */
const supervise = Effect.fnUntraced(
  function* <E, R>(service: Layer.Layer<never, E, R>, state: Process) {
    const { shutdownTimeout } = yield* Settings
    const { failed } = yield* Fatal
    const scope = yield* Scope.make()
    return yield* Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        // In a fiber of its own: where it cannot be interrupted, it must not hold up the stop.
        const running = yield* Layer.buildWithScope(service, scope).pipe(
          Effect.andThen(Effect.sync(() => state.started = true)),
          Effect.andThen(Effect.never),
          Effect.interruptible,
          Effect.forkDetach,
        )
        const exit = yield* Effect.exit(restore(Effect.raceFirst(Fiber.join(running), failed)))
        yield* endAtNextSignal
        yield* endAfter(shutdownTimeout, isStop(exit) ? 0 : 1)
        yield* Fiber.interrupt(running)
        const closed = yield* Effect.exit(Scope.close(scope, exit))
        return yield* isStop(exit) && Exit.isFailure(closed) ? closed : exit
      })
    )
  },
)

/** Runs the service as the process. */
export const runService = <E extends Explained>(
  service: Layer.Layer<never, E, Settings | Fatal | NodeServices.NodeServices>,
) => {
  const state: Process = { started: false }
  return supervise(Layer.provide(service, Observability.layer), state).pipe(
    Effect.provide(Fatal.layer),
    Effect.provide(Settings.layer),
    Effect.provide(NodeServices.layer),
    Effect.provide(Observability.logging),
    (program) => runMain(program, (cause) => Observability.reportEnd(cause, state)),
  )
}
