import { Effect } from "effect"
import type { SqlClient } from "effect/sql"

/** Rows a statement: short enough that neither its locks nor its WAL hold up anybody. */
const batchSize = 2_000

/** Tells retention runs apart from other holders of advisory locks. */
export const retentionLock = 0x6c6b_7265

export interface CleanUpOptions {
  /** Delete nothing while another run that asks for this is deleting: for replicas on a schedule. */
  readonly exclusively?: boolean | undefined
}

/**
 * Deletes the rows whose `column` lies more than `olderThanDays` days of 24 hours in the past, by the
 * database's clock, and tells how many. Rows that somebody else holds are left for the next time.
 */
export const deleteInBatches = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  { table, column, olderThanDays, exclusively = false }: CleanUpOptions & {
    readonly table: "refresh_tokens" | "login_attempts"
    readonly column: "expires_at" | "attempted_at"
    readonly olderThanDays: number
  },
) {
  // For the length of one statement, so that it works behind a pooler and outlives nobody's death.
  const turn = exclusively
    ? sql`(SELECT pg_try_advisory_xact_lock(${retentionLock}))`
    : sql.literal("true")
  const rowsOf = sql(`public.${table}`)
  // An array of keys, which PostgreSQL looks up by the primary key however many it expects: for a join
  // it may read the whole table for each batch.
  let deleted = 0
  while (true) {
    const rows = yield* sql`
      DELETE FROM ${rowsOf}
      WHERE id = ANY (ARRAY(
        SELECT id
        FROM ${rowsOf}
        WHERE
          ${sql(column)} <= now() - make_interval(hours => 24 * ${olderThanDays}::int)
          AND ${turn}
        ORDER BY ${sql(column)}
        LIMIT ${batchSize}
        FOR UPDATE SKIP LOCKED
      ))
      RETURNING id`
    deleted += rows.length
    // Not "fewer than a batch": others let go of rows, and more become old, meanwhile.
    if (rows.length === 0) return deleted
  }
})
