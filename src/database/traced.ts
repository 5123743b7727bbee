/**
 * Spans of what the repositories do, and of the statements in them.
 *
 * The client ends the span of a statement with the error as the server worded it, and exporters write
 * down all of it. Here spans end without these words.
 */
import { Cause, Effect, Exit, References, Tracer } from "effect"
import { withoutWords } from "./Constraints.ts"

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

/** A tracer to whose spans no error tells what the server said in words. */
export const tracerWithoutWords = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    context: tracer.context,
    span: (options) => {
      const span = tracer.span(options)
      const end = span.end
      // The span itself, not one around it: a tracer may need to recognize its own as parents.
      span.end = (time, exit) => end.call(span, time, exitWithoutWords(exit))
      return span
    },
  })

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
            tracerWithoutWords(tracer),
          ))
        : call(...args),
  )
