/**
 * Looks at what a change would make, without making it.
 */
import { Data, Deferred, Effect } from "effect"
import { SqlClient } from "effect/sql"

class Discarded extends Data.TaggedError("Discarded") {}

/** Runs an effect in a transaction that is rolled back, and gives its result. */
export const discarding = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const sql = yield* SqlClient.SqlClient
  const result = yield* Deferred.make<A>()
  yield* effect.pipe(
    Effect.flatMap((value) => Deferred.succeed(result, value)),
    Effect.andThen(new Discarded()),
    sql.withTransaction,
    Effect.catchTag("Discarded", () => Effect.void),
  )
  return yield* Deferred.await(result)
})
