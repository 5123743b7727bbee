/**
 * Changes of user accounts.
 */
import { Effect, Schema, Struct } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, userConstraints } from "../../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../../database/LockWaits.ts"
import { withSavepointOrRetry } from "../../database/transactions.ts"
import { User, UserId, Version } from "../../domain/User.ts"
import { nullable } from "../../schema/nullable.ts"
import type { PreferEmailTaken } from "./preferEmailTaken.ts"
import { usersTable } from "./usersTable.ts"

/** Makes a function that gives none when there is no such user in one of the versions; null is any. */
export const makeUpdateUser = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  preferEmailTaken: PreferEmailTaken,
) {
  const users = usersTable(sql)
  const changeable = Struct.keys(User.update.fields).map((name) =>
    [name, users.column(name)] as const
  )

  const change = SqlSchema.findOneOption({
    Request: Schema.Struct({
      id: UserId,
      changes: User.update,
      versions: nullable(Schema.Array(Version)),
    }),
    Result: User,
    execute: bounded(({ id, changes, versions, lockTimeout }) => {
      // Every column each time: whatever is changed, it is one prepared statement.
      const changed = changeable.map(([name, column]) =>
        sql`${column} = CASE WHEN ${name in changes} THEN ${
          changes[name] ?? null
        } ELSE ${column} END`
      )
      return sql`
        UPDATE public.users
        SET ${sql.join(", ", false)(changed)}
        WHERE
          id = ${id}
          AND (${versions}::text[] IS NULL OR version::text = ANY(${versions}))
          AND ${lockTimeoutIs(sql, lockTimeout)}
        RETURNING ${users.columns}`
    }),
  })

  const waitFor = yield* makeWaitFor(sql)

  return (
    id: UserId,
    changes: typeof User.update.Type,
    versions: ReadonlyArray<Version> | null,
  ) =>
    preferEmailTaken(
      waitFor(
        id,
        change({ id, changes, versions }).pipe(
          withSavepointOrRetry(sql),
          interpretErrors(userConstraints),
        ),
      ),
      changes.email,
      id,
    )
})
