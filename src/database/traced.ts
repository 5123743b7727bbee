/**
 * Spans of what the repositories do, and of the statements in them.
 *
 * The client ends the span of a statement with the error as the server worded it, and exporters write
 * down all of it. Here spans end without these words.
 */
import { Cause, Effect, Exit, Predicate, References, Schema, Tracer } from "effect"
import { SqlError } from "effect/sql"
import { codeOf, withoutWords } from "./Constraints.ts"

const reasonWithoutWords = (reason: Cause.Reason<unknown>): Cause.Reason<unknown> => {
  if (Cause.isInterruptReason(reason)) return reason
  const error = Cause.isFailReason(reason) ? reason.error : reason.defect
  const told = withoutWords(error)
  if (told === error) return reason
  return Cause.isFailReason(reason) ? Cause.makeFailReason(told) : Cause.makeDieReason(told)
}

const exitWithoutWords = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isSuccess(exit)
    ? exit
    : Exit.failCause(Cause.fromReasons(exit.cause.reasons.map(reasonWithoutWords)))

const failureOf = (cause: Cause.Cause<unknown>): unknown => {
  const reason = cause.reasons.find((reason) => !Cause.isInterruptReason(reason))
  if (reason === undefined || Cause.isInterruptReason(reason)) return undefined
  return Cause.isFailReason(reason) ? reason.error : reason.defect
}

const tagOf = (error: unknown) =>
  Predicate.hasProperty(error, "_tag") && Predicate.isString(error._tag) ? error._tag : undefined

/** Says what a span failed with, in a word (https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/). */
const tellFailure = (span: Tracer.Span, error: unknown) => {
  if (!SqlError.isSqlError(error)) {
    return span.attribute(
      "error.type",
      tagOf(error) ?? (Error.isError(error) ? error.name : "_OTHER"),
    )
  }
  const code = codeOf(error)
  span.attribute("error.type", code ?? error.reason._tag)
  if (code !== null) span.attribute("db.response.status_code", code)
}

/** An error that is the answer to a call, such as that there is no such user, and nothing that broke. */
const isRefusal = (cause: Cause.Cause<unknown>) =>
  cause.reasons.every((reason) =>
    Cause.isFailReason(reason) && !SqlError.isSqlError(reason.error) &&
    !Schema.isSchemaError(reason.error) && tagOf(reason.error) !== undefined &&
    tagOf(reason.error) !== "DatabaseUnavailable"
  )

const endingSpans = (
  tracer: Tracer.Tracer,
  ending: (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>) => Exit.Exit<unknown, unknown>,
): Tracer.Tracer =>
  Tracer.make({
    context: tracer.context,
    span: (options) => {
      const span = tracer.span(options)
      const end = span.end
      // The span itself, not one around it: a tracer may need to recognize its own as parents.
      span.end = (time, exit) => end.call(span, time, ending(span, exit))
      return span
    },
  })

/** Those that need not be wrapped again; a second one would see only what the first one tells. */
const wordless = new WeakSet<Tracer.Tracer>()

/** A tracer to whose spans no error tells what the server said in words. */
export const tracerWithoutWords = (tracer: Tracer.Tracer): Tracer.Tracer => {
  if (wordless.has(tracer)) return tracer
  const wrapped = endingSpans(tracer, (span, exit) => {
    const error = Exit.isFailure(exit) ? failureOf(exit.cause) : undefined
    if (error !== undefined) tellFailure(span, error)
    return exitWithoutWords(exit)
  })
  wordless.add(wrapped)
  return wrapped
}

/** The same, and what is refused has not failed: whoever called wanted to know. */
export const tracerOfCalls = (tracer: Tracer.Tracer): Tracer.Tracer => {
  const wrapped = endingSpans(tracerWithoutWords(tracer), (span, exit) => {
    if (Exit.isSuccess(exit) || !isRefusal(exit.cause)) return exit
    span.attribute("latchkey.refusal", tagOf(failureOf(exit.cause)))
    return Exit.void
  })
  wordless.add(wrapped)
  return wrapped
}

/**
 * Gives each call of a function a span, where anybody listens to spans. `Effect.fn` does so as well,
 * but costs several microseconds a call even when nobody does; this is for what every request does.
 */
export const traced = <Args extends ReadonlyArray<unknown>, A, E, R>(
  name: string,
  call: (...args: Args) => Effect.Effect<A, E, R>,
  options?: (...args: Args) => Tracer.SpanOptions,
) =>
(...args: Args): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    References.TracerEnabled,
    (enabled) =>
      enabled
        ? Effect.flatMap(Effect.tracer, (tracer) =>
          Effect.withTracer(
            Effect.withSpan(call(...args), name, options?.(...args)),
            tracerOfCalls(tracer),
          ))
        : call(...args),
  )
