/**
 * Finding rows by what identifies them: look-ups that arrive together share one statement.
 */
import { Effect, Option, type Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import * as Batcher from "../database/Batcher.ts"
import { interpretErrors } from "../database/Constraints.ts"
import { retryRead } from "./retryRead.ts"

interface LookUp<Key, Row> {
  /** What a trace calls it. */
  readonly name: string
  /** Those rows that there are, in any order, each once. */
  readonly find: (
    keys: ReadonlyArray<Key>,
  ) => Effect.Effect<ReadonlyArray<Row>, SqlError.SqlError | Schema.SchemaError>
  /** The key by which a row was found. */
  readonly keyOf: (row: Row) => Key | null
}

/** Makes a function that gives the row of a key, if there is one. */
export const makeLookUp = <Key, Row>(
  sql: SqlClient.SqlClient,
  { name, find, keyOf }: LookUp<Key, Row>,
) => {
  const findRows = (keys: ReadonlyArray<Key>) => find(keys).pipe(retryRead(sql), interpretErrors())

  const findEach = (keys: ReadonlyArray<Key>) =>
    Effect.map(findRows(keys), (rows) => {
      const byKey = new Map(rows.map((row): [Key | null, Row] => [keyOf(row), row]))
      return keys.map((key) => Option.some(Option.fromUndefinedOr(byKey.get(key))))
    })

  return Batcher.make({
    sql,
    name,
    alone: (key: Key) => Effect.map(findRows([key]), ([row]) => Option.fromUndefinedOr(row)),
    // A row that is not what it should be spoils only the look-up of itself.
    together: (keys) =>
      Effect.catchDefect(findEach(keys), () => Effect.succeed(keys.map(() => Option.none()))),
  })
}
