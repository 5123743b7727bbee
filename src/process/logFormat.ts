/**
 * An entry of the log as one line: the same flat fields in JSON and logfmt, those without a value left
 * out, the message always text.
 */
import { Array, Cause, Logger, Predicate, References } from "effect"

/** What entries are annotated with must not hide what each of them has. */
const own: ReadonlySet<string> = new Set(["timestamp", "level", "message", "cause"])

type Value = string | number | boolean

const textOf = (value: unknown): string =>
  Predicate.isString(value) ? value : JSON.stringify(value) ?? String(value)

const valueOf = (value: unknown): Value | undefined =>
  value === undefined || value === null || value === ""
    ? undefined
    : Predicate.isNumber(value) || Predicate.isBoolean(value)
    ? value
    : textOf(value)

/** The fields of an entry, in the order that they are written in. */
const fieldsOf = (
  { cause, date, fiber, logLevel, message }: Logger.Options<unknown>,
): ReadonlyArray<readonly [name: string, value: Value]> => {
  const { span } = fiber.cache
  // Where nobody listens to spans there are still some, of no name.
  const isTraced = span?.sampled === true && fiber.getRef(References.TracerEnabled)
  const annotations = Object.entries(fiber.getRef(References.CurrentLogAnnotations))
    .filter(([name]) => !own.has(name))
  return Object.entries({
    timestamp: date.toISOString(),
    level: logLevel.toUpperCase(),
    message: Array.ensure(message).map(textOf).join(" "),
    ...Object.fromEntries(annotations),
    ...isTraced ? { traceId: span.traceId, spanId: span.spanId } : {},
    cause: cause.reasons.length > 0 ? Cause.pretty(cause) : undefined,
  }).flatMap(([name, value]) => {
    const shown = valueOf(value)
    return shown === undefined ? [] : [[name, shown] as const]
  })
}

/** Text that logfmt needs no quotes for. */
const plain = /^[^\s"=]+$/

const json = Logger.make((entry) => JSON.stringify(Object.fromEntries(fieldsOf(entry))))

// https://brandur.org/logfmt
const logfmt = Logger.make((entry) =>
  fieldsOf(entry)
    .map(([name, value]) => `${name}=${plain.test(String(value)) ? value : JSON.stringify(value)}`)
    .join(" ")
)

/** By the values of `LOG_FORMAT` that are for machines. */
export const formats = { json, logfmt }

/** Loggers that write to stdout, by the values of `LOG_FORMAT`. */
export const loggers = {
  json: Logger.withConsoleLog(json),
  logfmt: Logger.withConsoleLog(logfmt),
  pretty: Logger.consolePretty(),
}
