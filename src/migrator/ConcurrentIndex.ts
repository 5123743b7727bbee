/**
 * Indexes built with `CREATE INDEX CONCURRENTLY`: a build that fails leaves its index behind, invalid:
 * no query uses it, every write pays for it, and `IF NOT EXISTS` takes it for done.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { Statement } from "./StatementScanner.ts"

/** A migration ended, but the database has an index that no query can use. */
export class IndexInvalid extends Schema.TaggedError<IndexInvalid>()("IndexInvalid", {
  file: Schema.String,
  indexes: Schema.Array(Schema.String),
}) {
  override get message() {
    return `migrations/${this.file} can't be recorded as applied while these indexes are invalid: ` +
      `${this.indexes.join(", ")}. Drop them (DROP INDEX CONCURRENTLY) and run ` +
      "`deno task migrate` again."
  }
}

/** The names in `CREATE INDEX CONCURRENTLY name ON table`, spelled as in the statement. */
export const built = ({ tokens }: Statement) => {
  const words = tokens.map((token) => token.kind === "word" ? token.text.toUpperCase() : token.text)
  const concurrently = words.indexOf("CONCURRENTLY")
  const on = words.indexOf("ON")
  const name = tokens[on - 1]
  if (words[0] !== "CREATE" || words[concurrently - 1] !== "INDEX" || on - 1 <= concurrently) {
    return undefined
  }
  const table = tokens.slice(words[on + 1] === "ONLY" ? on + 2 : on + 1)
  const end = table[1]?.text === "." ? 3 : 1
  return {
    index: name?.text ?? "",
    table: table.slice(0, end).map((token) => token.text).join(""),
  }
}

/** Drops what an earlier, failed build of the same index left behind. */
export const dropInvalid = Effect.fn("ConcurrentIndex.dropInvalid")(
  function* ({ index, table }: { readonly index: string; readonly table: string }) {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly name: string }>`
      SELECT format('%I.%I', pg_namespace.nspname, pg_class.relname) AS name
      FROM pg_index
      JOIN pg_class ON pg_class.oid = pg_index.indexrelid
      JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
      WHERE NOT pg_index.indisvalid
        AND pg_index.indrelid = to_regclass(${table})
        AND pg_class.relname = (parse_ident(${index}))[1]
    `
    yield* Effect.forEach(rows, ({ name }) => sql.unsafe(`DROP INDEX CONCURRENTLY ${name}`), {
      discard: true,
    })
  },
)

/**
 * The invalid indexes of the database, without those being built at this moment, and without the ones
 * of partitioned tables, which are invalid until every partition has its own.
 */
export const invalid = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly name: string }>`
    SELECT format('%I.%I', pg_namespace.nspname, pg_class.relname) AS name
    FROM pg_index
    JOIN pg_class ON pg_class.oid = pg_index.indexrelid
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE NOT pg_index.indisvalid
      AND pg_class.relkind = 'i'
      AND NOT EXISTS (
        SELECT 1
        FROM pg_stat_progress_create_index
        WHERE index_relid = pg_class.oid
      )
    ORDER BY name
  `
  return rows.map(({ name }) => name)
})
