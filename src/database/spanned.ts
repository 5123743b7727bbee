import { Effect, References, type Tracer } from "effect"

/**
 * Gives each call of a function a span, where anybody listens to spans. `Effect.fn` does so as well,
 * but costs several microseconds a call even when nobody does; this is for what every request does.
 */
export const spanned = <Args extends ReadonlyArray<unknown>, A, E, R>(
  name: string,
  call: (...args: Args) => Effect.Effect<A, E, R>,
  options?: (...args: Args) => Tracer.SpanOptions,
) =>
(...args: Args): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    References.TracerEnabled,
    (enabled) => enabled ? Effect.withSpan(call(...args), name, options?.(...args)) : call(...args),
  )
