/**
 * Counts statements, to tell calls that shared one from calls that were a statement each.
 */
import { Context, Effect, Layer } from "effect"
import { Statement } from "effect/sql"

export class Statements extends Context.Service<Statements, {
  /** How many statements were sent, by anybody, while the effect ran; and what it gave. */
  readonly counted: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
  ) => Effect.Effect<readonly [statements: number, result: A], E, R>
}>()("latchkey/test/Statements") {
  /** For the layer of the repositories, whose statements are to be counted, and for the test. */
  static readonly layer = Layer.unwrap(Effect.sync(() => {
    let count = 0
    return Layer.mergeAll(
      Layer.succeed(Statement.CurrentTransformer, (statement) =>
        Effect.sync(() => {
          count++
          return statement
        })),
      Layer.succeed(Statements, {
        counted: (effect) =>
          Effect.suspend(() => {
            const before = count
            return Effect.map(effect, (result) => [count - before, result] as const)
          }),
      }),
    )
  }))
}
