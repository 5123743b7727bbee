import { Effect } from "effect"
import type { SqlClient } from "effect/sql"

/** Rows a statement: short enough that neither its locks nor its WAL hold up anybody. */
const batchSize = 2_000

/**
 * Deletes the rows whose `column` lies more than `olderThanDays` days of 24 hours in the past, by the
 * database's clock, and tells how many. Rows that somebody else holds are left for the next time.
 */
export const deleteInBatches = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  { table, column, olderThanDays }: {
    readonly table: "refresh_tokens" | "login_attempts"
    readonly column: "expires_at" | "attempted_at"
    readonly olderThanDays: number
  },
) {
  let deleted = 0
  while (true) {
    const rows = yield* sql`
      DELETE FROM ${sql(table)}
      WHERE id IN (
        SELECT id
        FROM ${sql(table)}
        WHERE ${sql(column)} <= now() - make_interval(hours => 24 * ${olderThanDays}::int)
        ORDER BY ${sql(column)}
        LIMIT ${batchSize}
        FOR UPDATE SKIP LOCKED
      )
      RETURNING id`
    deleted += rows.length
    if (rows.length < batchSize) return deleted
  }
})
