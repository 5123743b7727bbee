/**
 * Parts of the service that its end waits for no longer than it can.
 */
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"

/** What is left, when the service stops, for connections, threads and exports to be closed. */
export const TimeToClose = Context.Reference<Effect.Effect<Duration.Duration>>(
  "latchkey/background/TimeToClose",
  { defaultValue: () => Effect.succeed(Duration.seconds(10)) },
)

/**
 * The same layer, but what closing it waits for, such as a server that is silent, is left behind when
 * {@link TimeToClose} is over; a defect of closing it does not reach the other finalizers. `what`
 * begins the log entry about either.
 */
export const closingWithin = <A, E, R>(what: string, layer: Layer.Layer<A, E, R>) =>
  Layer.effectContext(Effect.gen(function* () {
    const timeToClose = yield* TimeToClose
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) =>
      Effect.gen(function* () {
        // In a fiber of its own: finalizers cannot be interrupted.
        const closing = yield* Effect.forkDetach(Scope.close(scope, exit))
        const closed = yield* Fiber.await(closing).pipe(
          Effect.interruptible,
          Effect.timeoutOption(yield* timeToClose),
        )
        if (Option.isNone(closed)) {
          yield* Effect.logWarning(`${what} did not close in time`)
        } else if (Exit.isFailure(closed.value) && !Cause.hasInterruptsOnly(closed.value.cause)) {
          yield* Effect.logError(`${what} did not close`, closed.value.cause)
        }
      })
    )
    return yield* Layer.buildWithScope(layer, scope)
  }))
