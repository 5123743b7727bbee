/**
 * A query for the rows that keep a constraint from being validated.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { PostgresFailure } from "../PostgresFailure.ts"

/**
 * The query for the rows that violate the CHECK constraint that a failure names, by their primary key;
 * undefined where the failure is not about a CHECK constraint of a table that is there.
 */
export const violatingRows = Effect.fn("violatingRows")(
  function* ({ code, constraint, schema, table }: PostgresFailure) {
    if (code !== "23514" || constraint === undefined) {
      return undefined
    }
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly query: string }>`
      SELECT format(
        'SELECT %s FROM %I.%I WHERE NOT %s',
        COALESCE(
          (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
            FROM pg_catalog.pg_index
            JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
            WHERE indrelid = pg_class.oid AND indisprimary
          ),
          'ctid'
        ),
        nspname,
        relname,
        pg_catalog.pg_get_expr(conbin, conrelid)
      ) AS query
      FROM pg_catalog.pg_constraint
      JOIN pg_catalog.pg_class ON pg_class.oid = conrelid
      JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
      WHERE conname = ${constraint} AND relname = ${table ?? ""} AND nspname = ${schema ?? ""}
        AND contype = 'c'
    `
    return row?.query
  },
)
