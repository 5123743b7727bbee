/**
 * What a schema consists of, each object with its definition in PostgreSQL's own words, so that two
 * schemas on one server can be compared as texts.
 */
import { Effect, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { catalogueQuery } from "./catalogueQuery.ts"

/** What is not compared, in words for people. */
export const leftOut = "owners, privileges, comments, the order of columns, their statistics and " +
  "storage, tablespaces, casts, publications, event triggers, other schemas, what extensions " +
  "brought along, and the tables that migration tools keep for themselves"

export class CatalogueEntry extends Schema.Class<CatalogueEntry>("CatalogueEntry")({
  kind: Schema.String,
  /** Within its kind: `users.email` for a column. */
  name: Schema.String,
  definition: Schema.String,
}) {}

const select = SqlSchema.findAll({
  Request: Schema.Void,
  Result: CatalogueEntry,
  execute: () => SqlClient.SqlClient.use((sql) => sql.unsafe(catalogueQuery)),
})

/**
 * Reads schema `public`. In a transaction, since it sets `search_path` for as long as that lasts:
 * names in definitions are written out then, whatever the role's own path is.
 */
export const read = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`SET LOCAL search_path = pg_catalog`
  return yield* select()
}).pipe(Effect.catchTag("SchemaError", Effect.die), Effect.withSpan("Catalogue.read"))
