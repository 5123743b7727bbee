/**
 * Sequences whose next values are in their column already. A sequence's position is not copied with
 * the rows: logical replication and a restore of single tables leave it where it began.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"

export class SequenceBehind extends Schema.Class<SequenceBehind>("SequenceBehind")({
  sequence: Schema.String,
  /** `users.version`. */
  column: Schema.String,
  /** The greatest value in the column; a bigint, in digits. */
  greatest: Schema.String,
  /** The value that the sequence gives next, in digits. */
  next: Schema.String,
  /** The statement that moves it on. */
  remedy: Schema.String,
}) {
  get message() {
    return `The sequence ${this.sequence} gives ${this.next} next, but ${this.column} has values up ` +
      `to ${this.greatest}: values would be given twice. Move it on: ${this.remedy}`
  }
}

interface Use {
  readonly sequence: string
  readonly name: string
  readonly table: string
  readonly column: string
  readonly label: string
  readonly increment: string
}

/** The columns of `public` that take their values from ascending sequences. */
const uses = SqlClient.SqlClient.use((sql) =>
  sql<Use>`
    SELECT
      s.relname AS name,
      format('%I.%I', ns.nspname, s.relname) AS sequence,
      format('public.%I', t.relname) AS table,
      format('%I', attname) AS column,
      t.relname || '.' || attname AS label,
      seqincrement::text AS increment
    FROM pg_catalog.pg_class t
    JOIN pg_catalog.pg_attribute ON attrelid = t.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_catalog.pg_attrdef ON adrelid = t.oid AND adnum = attnum
    JOIN pg_catalog.pg_depend d ON
      -- A default that names a sequence depends on it; the sequence of an identity, on its column.
      d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = pg_attrdef.oid
      OR d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid
        AND d.refobjsubid = attnum AND d.deptype = 'i'
    JOIN pg_catalog.pg_class s ON s.relkind = 'S' AND s.oid IN (d.objid, d.refobjid)
    JOIN pg_catalog.pg_sequence ON seqrelid = s.oid AND seqincrement > 0
    JOIN pg_catalog.pg_namespace ns ON ns.oid = s.relnamespace
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
      AND atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    ORDER BY label
  `
)

const check = Effect.fnUntraced(function* (use: Use) {
  const sql = yield* SqlClient.SqlClient
  const { column, increment, label, name, sequence, table } = use
  // In this order: beside writers, a sequence is never behind what was in the column before.
  const [rows] = yield* sql.unsafe<{ readonly greatest: string | null }>(
    `SELECT max(${column})::text AS greatest FROM ${table}`,
  )
  const greatest = rows?.greatest ?? null
  if (greatest === null) {
    return []
  }
  const [position] = yield* sql.unsafe<{ readonly next: string }>(
    `SELECT (last_value + CASE WHEN is_called THEN ${increment} ELSE 0 END)::text AS next FROM ${sequence}`,
  )
  return position === undefined || BigInt(position.next) > BigInt(greatest) ? [] : [
    new SequenceBehind({
      sequence: name,
      column: label,
      greatest,
      next: position.next,
      remedy: `SELECT setval('${sequence}', (SELECT max(${column}) FROM ${table}));`,
    }),
  ]
})

/** The sequences that are behind their columns. Reads each of these columns, which may take seconds. */
export const behind = Effect.flatMap(
  uses,
  (found) => Effect.map(Effect.forEach(found, check), (results) => results.flat()),
).pipe(Effect.withSpan("Sequences.behind"))
