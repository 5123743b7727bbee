/**
 * A part of the service that is waited for at the start, while what it needs may come by itself.
 */
import { Clock, Data, Duration, Effect, Exit, Layer, Scope } from "effect"

/** It was waited for in vain. */
export class StartTimedOut extends Data.TaggedError("StartTimedOut")<{
  /** Why it could not start at last, and how long it was waited for, in sentences. */
  readonly message: string
}> {}

export interface StartOptions<E> {
  /** What is waited for, as log entries name it. */
  readonly what: string
  /** For how long; not at all where it is none. */
  readonly time: Duration.Duration
  /** Whether it is worth while to try again after an error. */
  readonly isPassing: (error: E) => boolean
}

/** The first and the longest time between two tries, in milliseconds. */
const pauses = { first: 100, longest: 1_000 }

/**
 * The same layer, tried again and again while it fails for what may pass. The log has an entry when that
 * begins, when the reason changes and when it is over.
 */
export const startWithin = <A, E extends { readonly message: string }, R>(
  layer: Layer.Layer<A, E, R>,
  { what, time, isPassing }: StartOptions<E>,
) =>
  Layer.effectContext(Effect.gen(function* () {
    const parent = yield* Effect.scope
    const build = Effect.gen(function* () {
      const scope = yield* Scope.fork(parent)
      return yield* Layer.buildWithScope(layer, scope).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
      )
    })
    const clock = yield* Clock.Clock
    const began = clock.currentTimeMillisUnsafe()
    const milliseconds = Duration.toMillis(time)
    const waited = () => clock.currentTimeMillisUnsafe() - began
    const told = () => Duration.format(Duration.seconds(Math.round(waited() / 1000)))
    let reason: string | undefined

    const tryFor = (pause: number): typeof build =>
      Effect.catchIf(build, isPassing, (error): typeof build =>
        Effect.gen(function* () {
          const left = milliseconds - waited()
          if (left <= 0) return yield* Effect.fail(error)
          if (error.message !== reason) {
            yield* Effect.logWarning(
              reason === undefined
                ? `Waiting for ${what}, up to ${Duration.format(time)}: ${error.message}`
                : `Still waiting for ${what}: ${error.message}`,
            )
            reason = error.message
          }
          yield* Effect.sleep(Math.min(pause, left))
          return yield* tryFor(Math.min(2 * pause, pauses.longest))
        }))

    return yield* tryFor(pauses.first).pipe(
      Effect.tap(() =>
        reason === undefined
          ? Effect.void
          : Effect.logInfo(`Waited ${told()} for ${what}, which can be used now`)
      ),
      Effect.catchIf(
        (error) => reason !== undefined && isPassing(error),
        ({ message }) =>
          new StartTimedOut({ message: `${message} It was waited for ${told()} in vain.` }),
      ),
    )
  }))
