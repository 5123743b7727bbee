/**
 * Fills large tables in minutes: side by side, and each index made at once when all rows are there.
 * What they hold is then in memory.
 */
import { Effect } from "effect"
import { statfs } from "node:fs/promises"
import { cache } from "../contestants.ts"
import { functions, rows, type Size } from "../data.ts"
import { Database, runOn } from "../Database.ts"
import { Failure } from "../Failure.ts"

/** A user, a token and an attempt with their indexes, WAL and what a sort puts aside: about so much. */
const bytesPerRow = 2_000

/** Fails where the disk would not hold so many rows in each of the tables. */
export const requireSpace = Effect.fnUntraced(function* (rows: number) {
  const { bavail, bsize } = yield* Effect.promise(() => statfs(cache))
  if (bavail * bsize > rows * bytesPerRow) return
  return yield* new Failure({
    message: `${rows} rows need ${Math.ceil(rows * bytesPerRow / 1e9)} GB of disk, and there are ` +
      `${Math.floor(bavail * bsize / 1e9)}; ask for fewer with --sizes`,
  })
})

export const fill = Effect.fnUntraced(function* (size: Size) {
  const database = yield* Database
  yield* database.run(functions)
  const indexes = yield* database.query<{
    readonly table: string
    readonly name: string
    readonly definition: string
  }>(`
    SELECT tablename AS "table", indexname AS name, indexdef AS definition
    FROM pg_indexes
    WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint)`)
  yield* Effect.forEach(
    Object.entries(rows(size)),
    ([table, insert]) => {
      const own = indexes.filter((index) => index.table === table)
      return runOn(database.url, [
        // Not the checks, only the foreign keys, which the data is made to keep.
        "SET session_replication_role = replica",
        "SET maintenance_work_mem = '1GB'",
        "SET statement_timeout = 0",
        `ALTER TABLE ${table} SET (autovacuum_enabled = false)`,
        ...own.map(({ name }) => `DROP INDEX ${name}`),
        insert,
        ...own.map(({ definition }) => definition),
        `VACUUM (ANALYZE) ${table}`,
      ])
    },
    { concurrency: "unbounded", discard: true },
  )
  yield* database.run([
    "CHECKPOINT",
    "CREATE EXTENSION pg_prewarm",
    `SELECT pg_prewarm(oid)
      FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')`,
  ])
})
