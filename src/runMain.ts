/**
 * How a program of latchkey ends: 0 when it was told to stop or is done, 1 after a sentence for the
 * person who started it.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Effect, Exit, Option } from "effect"

/** An error that says in a sentence what happened and what to do next. */
interface Explained {
  readonly message: string
}

const report = <E extends Explained>(cause: Cause.Cause<E>) =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: ({ message }) => Console.error(message),
    onNone: () => Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)),
  })

/** Runs a program as the process; SIGINT and SIGTERM stop it. */
export const runMain = <E extends Explained>(program: Effect.Effect<unknown, E>) =>
  NodeRuntime.runMain(Effect.tapCause(program, report), {
    disableErrorReporting: true,
    teardown: (exit, onExit) =>
      onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1),
  })
