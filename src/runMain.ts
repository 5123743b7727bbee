/**
 * How a program of latchkey ends: 0 when it was told to stop or is done, 1 after a sentence for the
 * person who started it.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Effect, Exit } from "effect"
import { type Explained, reportFailure } from "./reportFailure.ts"

/** Runs a program as the process; SIGINT and SIGTERM stop it. */
export const runMain = <E extends Explained>(program: Effect.Effect<unknown, E>) =>
  NodeRuntime.runMain(Effect.tapCause(program, reportFailure), {
    disableErrorReporting: true,
    teardown: (exit, onExit) =>
      onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1),
  })
