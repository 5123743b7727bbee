/**
 * What is done about errors of statements and connections, by all pools of one database together: they
 * are counted, told in the log, and what they are about is left.
 */
import { Clock, Effect } from "effect"
import type { SqlError } from "effect/sql"
import { deniedWords, isRightMissing, isWrongConnection, isWrongServer } from "./Constraints.ts"
import { atMostEvery, type Generations, makeGenerations, quietTime } from "./Generations.ts"
import { makeStatementMetrics } from "./metrics.ts"
import { Outages } from "./Outages.ts"
import { unfitnessesOf } from "./servers/refusals.ts"

export interface Incidents {
  readonly generations: Generations
  /** A statement has succeeded; mostly nothing is to be done. */
  readonly statementSucceeded: () => Effect.Effect<void> | undefined
  /**
   * A statement has failed; `leave` takes its connection out of use. `isAlone` says that it was outside
   * of a transaction of ours, in which a failed statement makes the next one fail.
   */
  readonly statementFailed: (
    error: SqlError.SqlError,
    leave: Effect.Effect<void>,
    isAlone: boolean,
  ) => Effect.Effect<void>
  /** A statement could not be sent, for want of a connection. */
  readonly statementNotSent: (error: SqlError.SqlError) => Effect.Effect<void>
  /** A server was not taken for a new connection. */
  readonly serverFailed: (error: SqlError.SqlError) => Effect.Effect<void>
}

/** What a failed statement says about its connection, and about all of them. */
const makeReaction = (generations: Generations): Incidents["statementFailed"] => {
  const ofRights = atMostEvery(quietTime)
  return (error, leave, isAlone) => {
    if (isWrongServer(error)) return generations.replace
    if (isWrongConnection(error, isAlone)) return leave
    return isRightMissing(error)
      ? ofRights(Effect.logError(
        `A statement failed for want of a right: ${deniedWords(error)} (42501). ` +
          "`deno task migrate grant ROLE` grants what the service needs.",
      ))
      : Effect.void
  }
}

export const make = Effect.gen(function* () {
  const generations = makeGenerations()
  const react = makeReaction(generations)
  const ofSessions = atMostEvery(quietTime)
  const statements = yield* makeStatementMetrics
  const outages = new Outages(yield* Clock.Clock)
  const failed = (error: SqlError.SqlError) =>
    Effect.suspend(() => {
      statements.failed(error)
      return outages.failed(error)
    })
  const incidents: Incidents = {
    generations,
    statementSucceeded: () => {
      statements.succeeded++
      return outages.ongoing === undefined ? undefined : outages.succeeded
    },
    statementFailed: (error, leave, isAlone) =>
      Effect.andThen(failed(error), react(error, leave, isAlone)),
    statementNotSent: failed,
    serverFailed: (error) =>
      Effect.forEach(
        unfitnessesOf(error).filter(({ reason }) => reason !== "standby"),
        ({ message }) => ofSessions(Effect.logError(message)),
        { discard: true },
      ),
  }
  return incidents
})
