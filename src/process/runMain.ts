/**
 * How a program of latchkey ends: 0 when it was told to stop or is done, 1 after a sentence for the
 * person who started it.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Effect, Exit } from "effect"
import { onUncaught } from "./onUncaught.ts"
import { type Explained, reportFailure } from "./reportFailure.ts"

type Report = (cause: Cause.Cause<Explained>) => Effect.Effect<void>

/** Runs a program as the process; SIGINT and SIGTERM stop it. */
export const runMain = <E extends Explained>(
  program: Effect.Effect<unknown, E>,
  report: Report = reportFailure,
) => {
  onUncaught((error) => {
    Effect.runFork(Effect.ensuring(report(Cause.die(error)), Effect.sync(() => Deno.exit(1))))
  })
  // As a finalizer: a program that was told to stop takes up nothing else.
  const reported = Effect.onExit(
    program,
    (exit) => Exit.isFailure(exit) ? report(exit.cause) : Effect.void,
  )
  NodeRuntime.runMain(reported, {
    disableErrorReporting: true,
    teardown: (exit, onExit) =>
      onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1),
  })
}
