/**
 * The last words of a program that failed, for the person who started it.
 */
import { Cause, Console, Effect, Option, Predicate, Result } from "effect"

/** An error that says in a sentence what happened and what to do next. */
export interface Explained {
  readonly message: string
}

const ofDefect = (defect: unknown): string => {
  const { name, message } = Predicate.isError(defect)
    ? defect
    : { name: "no error", message: String(defect) }
  return `Unexpected error (${name}): ${message}.`
}

/** Why a program failed, without a stack; undefined where it was only told to stop. */
export const sentenceOf = <E extends Explained>(cause: Cause.Cause<E>): string | undefined =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: ({ message }) => message,
    onNone: () =>
      Result.match(Cause.findDefect(cause), {
        onSuccess: ofDefect,
        onFailure: () => undefined,
      }),
  })

/** Says on stderr why; a defect with its stack, since that is for its developers. */
export const reportFailure = <E extends Explained>(cause: Cause.Cause<E>) =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: ({ message }) => Console.error(message),
    onNone: () => Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)),
  })
