/**
 * Finding rows by what identifies them: look-ups that arrive together share one statement.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { interpretErrors } from "../Constraints.ts"
import { prepared } from "../prepared.ts"
import { retryRead } from "../transactions.ts"
import * as Batcher from "./Batcher.ts"

interface Lookup<Key extends string, Row> {
  /** What a trace calls it. */
  readonly name: string
  readonly key: Schema.Codec<Key, string>
  /** PostgreSQL's type of keys. */
  readonly type: "text" | "uuid"
  readonly row: Schema.ConstraintDecoder<Row>
  /** The query for rows, up to the expression that is compared with keys. */
  readonly select: Statement.Fragment
  /** The key by which a row was found. */
  readonly keyOf: (row: Row) => Key | null
}

/** Makes a function that gives the row of a key, if there is one. */
export const makeBatchedLookup = <Key extends string, Row>(
  sql: SqlClient.SqlClient,
  { name, key, type, row, select, keyOf }: Lookup<Key, Row>,
) => {
  const keyType = sql.literal(type)

  // PostgreSQL finds one key in less time than an array of one.
  const findOne = SqlSchema.findOneOption({
    Request: Schema.Struct({ key }),
    Result: row,
    execute: prepared<{ readonly key: string }>(sql)`${select} = ${"key"}::${keyType}`,
  })

  const findMany = SqlSchema.findAll({
    Request: Schema.Array(key),
    Result: row,
    execute: (keys) => sql`${select} = ANY(${keys}::${keyType}[])`,
  })

  const findEach = (keys: ReadonlyArray<Key>) =>
    Effect.map(findMany(keys).pipe(retryRead(sql), interpretErrors()), (rows) => {
      const byKey = new Map(rows.map((row): [Key | null, Row] => [keyOf(row), row]))
      return keys.map((key) => Batcher.done(Option.fromUndefinedOr(byKey.get(key))))
    })

  return Batcher.make({
    sql,
    name,
    reads: true,
    single: (key: Key) => findOne({ key }).pipe(retryRead(sql), interpretErrors()),
    batch: findEach,
    decode: Effect.succeed,
  })
}
