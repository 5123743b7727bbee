/**
 * The last words of a program that failed, for the person who started it.
 */
import { Cause, Console, Effect, Option } from "effect"

/** An error that says in a sentence what happened and what to do next. */
export interface Explained {
  readonly message: string
}

/** Says on stderr why; a defect with its stack, since that is for its developers. */
export const reportFailure = <E extends Explained>(cause: Cause.Cause<E>) =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: ({ message }) => Console.error(message),
    onNone: () => Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)),
  })
