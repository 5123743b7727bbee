/**
 * Calls that are made at once. The first goes alone; the others arrive while its statement is under
 * way, and go together.
 */
import { Deferred, Effect, Fiber, Result } from "effect"
import { SqlClient, type SqlError } from "effect/sql"

export const atOnce = <A, E, R>(calls: Iterable<Effect.Effect<A, E, R>>) =>
  Effect.all(Array.from(calls), { concurrency: "unbounded" })

/** Runs the effect, which is no part of the transaction, while a transaction holds the lock. */
export const whileHeld = <A, E, R, R2>(
  lock: Effect.Effect<unknown, SqlError.SqlError, R2>,
  effect: Effect.Effect<A, E, R>,
) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const held = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const holder = yield* lock.pipe(
      Effect.andThen(Deferred.succeed(held, undefined)),
      Effect.andThen(Deferred.await(done)),
      sql.withTransaction,
      Effect.forkChild,
    )
    yield* Deferred.await(held)
    const result = yield* effect
    yield* Deferred.succeed(done, undefined)
    yield* Fiber.join(holder)
    return result
  })

/** What became of each call: its result, or the tag of its error. */
export const outcomes = <A, E extends { readonly _tag: string }, R>(
  calls: Iterable<Effect.Effect<A, E, R>>,
) =>
  Effect.map(
    atOnce(Array.from(calls, Effect.result)),
    (results) =>
      results.map((result) => Result.isSuccess(result) ? result.success : result.failure._tag),
  )

/** The tags of errors, and `done` for results. */
export const tagsOf = (outcomes: ReadonlyArray<unknown>) =>
  outcomes.map((outcome) => typeof outcome === "string" ? outcome : "done")

/**
 * The statements, or commits, that twenty or more calls at once take at most where they go together:
 * usually two, more where the machine is so busy that some calls are late.
 */
export const few = 8
