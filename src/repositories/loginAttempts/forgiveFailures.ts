import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../../database/LockWaits.ts"
import { withSavepointOrRetry } from "../../database/transactions.ts"
import { StoredTimestamp } from "../../domain/Timestamp.ts"
import { UserId, UserNotFound } from "../../domain/User.ts"

/**
 * Makes a function that forgives the failures of a user's address up to now, and gives the time. They
 * stay on record; the version of the user stays as it is.
 */
export const makeForgiveFailures = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const waitFor = yield* makeWaitFor(sql)

  const forgive = SqlSchema.findOneOption({
    Request: Schema.Struct({ id: UserId }),
    Result: Schema.Struct({ forgivenAt: StoredTimestamp }),
    execute: bounded(({ id, lockTimeout }) =>
      sql`
        UPDATE public.users
        SET failures_forgiven_at = clock_timestamp()
        WHERE id = ${id} AND ${lockTimeoutIs(sql, lockTimeout)}
        RETURNING failures_forgiven_at AS "forgivenAt"`
    ),
  })

  return Effect.fnUntraced(
    function* (id: UserId) {
      const forgiven = yield* forgive({ id }).pipe(withSavepointOrRetry(sql), interpretErrors())
      return Option.isSome(forgiven) ? forgiven.value.forgivenAt : yield* new UserNotFound()
    },
    (forgiving, id) => waitFor(id, forgiving),
  )
})
