/**
 * Whether the service can take requests now.
 */
import { Context, Effect, Layer, Ref } from "effect"

/** How long the database may take to say that it is there. */
const patience = "2 seconds"

export class Readiness extends Context.Service<Readiness, {
  /** Fails with the reason when it cannot. */
  readonly check: Effect.Effect<void, string>
  /** From now on it cannot: the service is stopping. */
  readonly stop: Effect.Effect<void>
}>()("latchkey/server/Readiness") {
  /** `check` fails when the database cannot be used as it is. */
  static readonly layer = <E extends { readonly message: string }, R>(
    check: Effect.Effect<unknown, E, R>,
  ) =>
    Layer.effect(
      Readiness,
      Effect.gen(function* () {
        const context = yield* Effect.context<R>()
        const stopping = yield* Ref.make(false)
        return Readiness.of({
          check: Effect.gen(function* () {
            if (yield* Ref.get(stopping)) return yield* Effect.fail("The service is stopping")
            yield* check.pipe(
              Effect.timeoutOrElse({
                duration: patience,
                orElse: () => Effect.fail({ message: "The database does not answer" }),
              }),
              Effect.mapError(({ message }) => message),
            )
          }).pipe(Effect.provideContext(context)),
          stop: Ref.set(stopping, true),
        })
      }),
    )
}
