/**
 * What somebody else does between two statements of one call.
 */
import { Effect } from "effect"
import { Statement } from "effect/sql"

/** Runs `other` when the effect's fiber is about to send its statement number `index`, from 0. */
export const beforeStatement = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  index: number,
  other: Effect.Effect<unknown, unknown>,
) =>
  Effect.suspend(() => {
    let sent = 0
    return Effect.provideService(
      effect,
      Statement.CurrentTransformer,
      (statement) =>
        sent++ === index
          ? other.pipe(
            Effect.provideService(Statement.CurrentTransformer, undefined),
            Effect.orDie,
            Effect.as(statement),
          )
          : Effect.succeed(statement),
    )
  })
