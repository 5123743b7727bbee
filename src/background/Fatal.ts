/**
 * How a part that works on its own, and that nobody waits for, ends the whole service.
 */
import { Context, Data, Deferred, Effect, Layer } from "effect"

/** A part that the service cannot do without has ended. */
export class FatalFailure extends Data.TaggedError("FatalFailure")<{
  /** A sentence for the operator. */
  readonly message: string
}> {}

export class Fatal extends Context.Service<Fatal, {
  /** Has the process stop and exit with 1; the first message is the one that is reported. */
  readonly fail: (message: string) => Effect.Effect<void>
  /** Fails once `fail` has been called; never succeeds. */
  readonly failed: Effect.Effect<never, FatalFailure>
}>()("latchkey/background/Fatal") {
  static readonly layer = Layer.effect(
    Fatal,
    Effect.map(Deferred.make<never, FatalFailure>(), (failure) =>
      Fatal.of({
        fail: (message) => Effect.asVoid(Deferred.fail(failure, new FatalFailure({ message }))),
        failed: Deferred.await(failure),
      })),
  )
}
