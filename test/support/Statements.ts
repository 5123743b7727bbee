/**
 * Records statements, to tell calls that shared one from calls that were a statement each.
 */
import { Context, Effect, Layer } from "effect"
import { Statement } from "effect/sql"

export type Compiled = readonly [statement: string, parameters: ReadonlyArray<unknown>]

export class Statements extends Context.Service<Statements, {
  /** What statements were sent, by anybody, while the effect ran; and what it gave. */
  readonly sent: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
  ) => Effect.Effect<readonly [statements: ReadonlyArray<Compiled>, result: A], E, R>
  /** How many they were. */
  readonly counted: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
  ) => Effect.Effect<readonly [statements: number, result: A], E, R>
}>()("latchkey/test/Statements") {
  /** For the layer of the repositories, whose statements are recorded, and for the test. */
  static readonly layer = Layer.unwrap(Effect.sync(() => {
    const all: Array<Compiled> = []
    const sent = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        const before = all.length
        return Effect.map(effect, (result) => [all.slice(before), result] as const)
      })
    return Layer.mergeAll(
      Layer.succeed(Statement.CurrentTransformer, (statement) =>
        Effect.sync(() => {
          all.push(statement.compile())
          return statement
        })),
      Layer.succeed(Statements, {
        sent,
        counted: (effect) =>
          Effect.map(sent(effect), ([statements, result]) => [statements.length, result] as const),
      }),
    )
  }))
}
