/**
 * How the command line answers: in text for people, and with `--json` in one JSON document, whose
 * properties are stable: later versions may add some, and neither rename nor remove any.
 */
import { Array, Cause, Console, Effect, Logger, Option, Runtime, Schema } from "effect"
import { CliError, Flag } from "effect/cli"
import { type Explained, reportFailure } from "../../process/reportFailure.ts"

/** The command found what makes for an exit code other than 0; it has printed the particulars. */
export class Found extends Schema.TaggedError<Found>()("Found", {
  /** 1 for something wrong, 2 for something pending. */
  exitCode: Schema.Literals([1, 2]),
  message: Schema.String,
}) {
  override readonly [Runtime.errorExitCode] = this.exitCode
}

/** `--json`, which documents the shape of what it prints. */
export const jsonFlag = (shape: string) =>
  Flag.Boolean("json").pipe(
    Flag.withDescription(`Print one JSON document: ${shape}`),
    Flag.withDefault(false),
  )

/** `1 migration`, `2 migrations`. */
export const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`

/** Prints a JSON document or lines of text. */
export const print = (asJson: boolean, document: unknown, lines: ReadonlyArray<string>) =>
  Effect.forEach(
    asJson ? [JSON.stringify(document, null, 2)] : lines,
    (line) => Console.log(line),
    { discard: true },
  )

/** Prints what was found wrong, and fails with exit code 1 if that is anything. */
export const printFindings = Effect.fnUntraced(function* (options: {
  readonly json: boolean
  /** The JSON document's only property, a list. */
  readonly name: string
  readonly findings: ReadonlyArray<{ readonly message: string }>
  /** What is said when there are none. */
  readonly none: string
  /** What is said after them. */
  readonly some: string
}) {
  const { findings } = options
  yield* print(
    options.json,
    { [options.name]: findings },
    findings.length === 0 ? [options.none] : findings.map(({ message }) => message),
  )
  if (findings.length > 0) {
    return yield* new Found({ exitCode: 1, message: options.some })
  }
})

/** Progress goes to stderr, as it is, so that stdout is nothing but the answer. */
export const StderrLogger = Logger.layer([
  Logger.withConsoleError(Logger.make(({ message }) => Array.ensure(message).join(" "))),
])

/** Says on stderr why a command failed. A wrong command line has been shown with its help already. */
export const report = <E extends Explained>(cause: Cause.Cause<E>) =>
  Option.exists(Cause.findErrorOption(cause), CliError.isCliError)
    ? Effect.void
    : reportFailure(cause)
