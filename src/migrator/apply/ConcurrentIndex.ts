/**
 * Indexes built with `CREATE INDEX CONCURRENTLY`: a build that fails leaves its index behind, invalid:
 * no query uses it, every write pays for it, and `IF NOT EXISTS` takes it for done.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { discarding } from "../discarding.ts"
import type { Statement } from "../StatementScanner.ts"

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

/** A `CREATE INDEX CONCURRENTLY name ON table …`, its names spelled as in the statement. */
export interface IndexBuild {
  readonly index: string
  readonly table: string
  /** `UNIQUE` or nothing. */
  readonly unique: string
  /** What follows the table: method, columns, condition. */
  readonly definition: string
}

/** Reads a statement; undefined for one that builds no index concurrently, or gives it no name. */
export const parse = ({ start, text, tokens }: Statement): IndexBuild | undefined => {
  const words = tokens.map((token) => token.kind === "word" ? token.text.toUpperCase() : token.text)
  const concurrently = words.indexOf("CONCURRENTLY")
  const on = words.indexOf("ON")
  const name = tokens[on - 1]
  if (words[0] !== "CREATE" || words[concurrently - 1] !== "INDEX" || on - 1 <= concurrently) {
    return undefined
  }
  const table = tokens.slice(words[on + 1] === "ONLY" ? on + 2 : on + 1)
  const parts = table.slice(0, table[1]?.text === "." ? 3 : 1)
  return {
    index: name?.text ?? "",
    table: parts.map((token) => token.text).join(""),
    unique: words[1] === "UNIQUE" ? "UNIQUE" : "",
    definition: text.slice((parts.at(-1)?.end ?? start) - start),
  }
}

/** Drops what an earlier, failed build of the same index left behind. */
export const dropInvalid = Effect.fn("ConcurrentIndex.dropInvalid")(
  function* ({ index, table }: IndexBuild) {
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

/** An index without its name and its table. */
const shape = (index: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql<{ readonly shape: string }>`
      SELECT concat(
        CASE WHEN indisunique THEN 'UNIQUE' END,
        substring(pg_get_indexdef(indexrelid) FROM ' USING .*')
      ) AS shape
      FROM pg_index
      WHERE indexrelid = to_regclass(${index})
    `
  ).pipe(Effect.map(([row]) => row?.shape))

/** The shape of the index that a statement makes, learnt on an empty copy of its table. */
const wantedShape = Effect.fnUntraced(function* ({ definition, table, unique }: IndexBuild) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly copy: string }>`
    SELECT format('pg_temp.%I', relname) AS copy FROM pg_class WHERE oid = to_regclass(${table})
  `
  if (row === undefined) {
    return undefined
  }
  yield* sql.unsafe(`CREATE TEMPORARY TABLE ${row.copy} (LIKE ${table})`)
  yield* sql.unsafe(`CREATE ${unique} INDEX latchkey_wanted ON ${row.copy} ${definition}`)
  return yield* shape("pg_temp.latchkey_wanted")
}, discarding)

/**
 * What has the name of the index already: nothing, the very index, whose build was not noted when the
 * run was killed, or something else, in words. Drop an invalid one first.
 */
export const find = Effect.fn("ConcurrentIndex.find")(function* (build: IndexBuild) {
  const sql = yield* SqlClient.SqlClient
  const [found] = yield* sql<{
    readonly name: string
    readonly isIndex: boolean
    readonly definition: string
  }>`
    SELECT
      format('%I.%I', pg_namespace.nspname, relation.relname) AS name,
      indexrelid IS NOT NULL AS "isIndex",
      COALESCE(pg_get_indexdef(indexrelid), 'no index of ' || t.relname) AS definition
    FROM pg_class t
    JOIN pg_namespace ON pg_namespace.oid = t.relnamespace
    JOIN pg_class relation ON relation.relnamespace = t.relnamespace
    LEFT JOIN pg_index ON indexrelid = relation.oid AND indrelid = t.oid
    WHERE t.oid = to_regclass(${build.table})
      AND relation.relname = (parse_ident(${build.index}))[1]
  `
  if (found === undefined) {
    return { _tag: "None" } as const
  }
  const isSame = found.isIndex && (yield* shape(found.name)) === (yield* wantedShape(build))
  return isSame ? { _tag: "Same" } as const : { _tag: "Other", ...found } as const
})

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
