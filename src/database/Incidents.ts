/**
 * What is done about errors of statements and connections, by all pools of one database together.
 */
import { Effect } from "effect"
import type { SqlError } from "effect/sql"
import { deniedWords, isRightMissing, isWrongConnection, isWrongServer } from "./Constraints.ts"
import { atMostEvery, type Generations, makeGenerations, quietTime } from "./Generations.ts"
import { unfitnessesOf } from "./servers/refusals.ts"

export interface Incidents {
  readonly generations: Generations
  /**
   * A statement has failed; `leave` takes its connection out of use. `isAlone` says that it was outside
   * of a transaction of ours, in which a failed statement makes the next one fail.
   */
  readonly statementFailed: (
    error: SqlError.SqlError,
    leave: Effect.Effect<void>,
    isAlone: boolean,
  ) => Effect.Effect<void>
  /** A server was not taken for a new connection. */
  readonly serverFailed: (error: SqlError.SqlError) => Effect.Effect<void>
}

export const make = (): Incidents => {
  const generations = makeGenerations()
  const ofRights = atMostEvery(quietTime)
  const ofSessions = atMostEvery(quietTime)
  return {
    generations,
    statementFailed: (error, leave, isAlone) => {
      if (isWrongServer(error)) return generations.replace
      if (isWrongConnection(error, isAlone)) return leave
      return isRightMissing(error)
        ? ofRights(Effect.logError(
          `A statement failed for want of a right: ${deniedWords(error)} (42501). ` +
            "`deno task migrate grant ROLE` grants what the service needs.",
        ))
        : Effect.void
    },
    serverFailed: (error) =>
      Effect.forEach(
        unfitnessesOf(error).filter(({ reason }) => reason !== "standby"),
        ({ message }) => ofSessions(Effect.logError(message)),
        { discard: true },
      ),
  }
}
