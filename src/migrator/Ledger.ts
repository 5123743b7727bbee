/**
 * What has been applied to a database: `public.latchkey_migrations`, a row for each row of Effect's
 * `public.effect_sql_migrations`, with what that table has no room for.
 *
 * Reads look at the ledger alone where they can: Effect's migrator locks its own table while a
 * migration runs, and a health check must not wait for that.
 */
import { Effect, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import denoJson from "../../deno.json" with { type: "json" }
import type { MigrationFile } from "./MigrationFile.ts"

/** Named with its schema, so that no `search_path` leads elsewhere. */
export const effectTable = "public.effect_sql_migrations"

export class LedgerEntry extends Schema.Class<LedgerEntry>("LedgerEntry")({
  id: Schema.Int,
  name: Schema.String,
  /** Of the file as it was applied. */
  sha256: Schema.String,
  appliedAt: Schema.DateTimeUtcFromDate,
  durationMs: Schema.Int,
  /** The version of latchkey that applied it. */
  version: Schema.String,
  compatibleWith: Schema.NullOr(Schema.Int),
}) {}

/** Whether a table, named with its schema, is there. */
export const exists = Effect.fnUntraced(function* (table: string) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql`SELECT 1 WHERE to_regclass(${table}) IS NOT NULL`
  return rows.length > 0
})

const select = SqlSchema.findAll({
  Request: Schema.Void,
  Result: LedgerEntry,
  execute: () =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql`
        SELECT
          id,
          name,
          sha256,
          applied_at AS "appliedAt",
          duration_ms AS "durationMs",
          version,
          compatible_with AS "compatibleWith"
        FROM public.latchkey_migrations
        ORDER BY id
      `.withoutTransform),
})

/** The applied migrations by ascending number; none where there is no ledger yet. */
export const entries = Effect.gen(function* () {
  return (yield* exists("public.latchkey_migrations")) ? yield* select() : []
}).pipe(Effect.catchTag("SchemaError", Effect.die))

/** The numbers and names that Effect's migrator has on record. */
export const effectEntries = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return (yield* exists(effectTable))
    ? yield* sql<{ readonly id: number; readonly name: string }>`
        SELECT migration_id AS id, name
        FROM ${sql(effectTable)}
        ORDER BY migration_id
      `.withoutTransform
    : []
})

/** Creates the ledger. Asks first, since `IF NOT EXISTS` wants the right to create even if it exists. */
export const ensure = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  if (yield* exists("public.latchkey_migrations")) {
    return
  }
  yield* sql`
    CREATE TABLE IF NOT EXISTS public.latchkey_migrations (
      id integer NOT NULL,
      name text NOT NULL,
      sha256 text NOT NULL,
      applied_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      duration_ms integer NOT NULL,
      version text NOT NULL,
      compatible_with integer,
      CONSTRAINT latchkey_migrations_pkey PRIMARY KEY (id)
    )
  `
})

/** Enters a migration; call it in the transaction that applies the migration. */
export const record = Effect.fnUntraced(function* (file: MigrationFile, durationMs: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO public.latchkey_migrations
      (id, name, sha256, duration_ms, version, compatible_with)
    VALUES
      (${file.id}, ${file.name}, ${file.sha256}, ${Math.round(durationMs)}, ${denoJson.version},
      ${file.compatibleWith})
  `
})

/** Enters a migration in both tables without having applied it. */
export const adopt = Effect.fnUntraced(function* (file: MigrationFile) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO ${sql(effectTable)} (migration_id, name)
    VALUES (${file.id}, ${file.name})
    ON CONFLICT (migration_id) DO NOTHING
  `
  yield* record(file, 0)
})
