/**
 * The deletion of a user with all that hangs on it, in one transaction of many short statements: a
 * cascade in one would take as long as the user has rows, which no bound on statements fits.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, type SqlError, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { asTheSession, bounded, lockTimeoutIs, makeWaitFor } from "../../database/LockWaits.ts"
import { inTransaction, whenInTransaction } from "../../database/transactions.ts"
import { UserId, Version } from "../../domain/User.ts"
import { nullable } from "../../schema/nullable.ts"

/** Rows a statement. */
const batchSize = 10_000

export const makeDeleteUser = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const waitFor = yield* makeWaitFor(sql)

  // Nobody can give the user more rows from here on: see docs/architecture.md, "Order of locks".
  const lock = SqlSchema.findOneOption({
    Request: Schema.Struct({ id: UserId, versions: nullable(Schema.Array(Version)) }),
    Result: Schema.Struct({ id: UserId }),
    execute: bounded(({ id, versions, lockTimeout }) =>
      sql`
        SELECT id
        FROM public.users
        WHERE
          id = ${id}
          AND (${versions}::text[] IS NULL OR version::text = ANY(${versions}))
          AND ${lockTimeoutIs(sql, lockTimeout)}
        FOR UPDATE`
    ),
  })

  const deleteTokens = (id: UserId) =>
    sql`
      DELETE FROM public.refresh_tokens
      WHERE id = ANY (ARRAY(
        SELECT id FROM public.refresh_tokens WHERE user_id = ${id} LIMIT ${batchSize} FOR UPDATE
      ))
      RETURNING id`

  const releaseAttempts = (id: UserId) =>
    sql`
      UPDATE public.login_attempts
      SET user_id = NULL
      WHERE id = ANY (ARRAY(
        SELECT id FROM public.login_attempts WHERE user_id = ${id} LIMIT ${batchSize} FOR UPDATE
      ))
      RETURNING id`

  const untilNoneIsLeft = <E, R>(batch: Effect.Effect<ReadonlyArray<unknown>, E, R>) =>
    Effect.repeat(batch, { until: (rows) => rows.length === 0 })

  const remove = Effect.fnUntraced(
    function* (
      id: UserId,
      versions: ReadonlyArray<Version> | null,
      onceLocked: Effect.Effect<unknown, SqlError.SqlError> = Effect.void,
    ) {
      const user = yield* lock({ id, versions })
      if (Option.isSome(user)) {
        yield* onceLocked
        yield* untilNoneIsLeft(deleteTokens(id))
        yield* untilNoneIsLeft(releaseAttempts(id))
        yield* sql`DELETE FROM public.users WHERE id = ${id}`
      }
      return user
    },
    inTransaction(sql),
    interpretErrors(),
  )

  // What a deletion has done by then is too much to be done again only because it is others' turn.
  const waitAsTheSession = sql`SET LOCAL lock_timeout TO DEFAULT`

  /** Gives none when there is no such user in one of the versions; null is any. */
  return (id: UserId, versions: ReadonlyArray<Version> | null) =>
    whenInTransaction(sql, {
      inside: () => asTheSession(remove(id, versions)),
      outside: () => waitFor(id, remove(id, versions, waitAsTheSession), remove(id, versions)),
    })
})
