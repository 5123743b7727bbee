/**
 * Adopts a database that has the schema already, made by Alembic or by hand.
 */
import { Array, Effect, Schema } from "effect"
import { Migrator as EffectMigrator, SqlClient } from "effect/sql"
import * as Ledger from "../Ledger.ts"
import type { MigrationFile } from "../MigrationFile.ts"
import * as Drift from "./Drift.ts"

/** The schema is not what the migrations make, so they must not be recorded as applied. */
export class SchemaDiffers extends Schema.TaggedError<SchemaDiffers>()("SchemaDiffers", {
  differences: Schema.NonEmptyArray(Drift.Difference),
}) {
  override get message() {
    return [
      "The schema is not what the migrations make, so nothing was recorded. Align it, then try again:",
      ...this.differences.map(({ message }) => `- ${message}`),
    ].join("\n")
  }
}

/** The database has a ledger with entries: it needs no baseline. */
export class AlreadyManaged extends Schema.TaggedError<AlreadyManaged>()("AlreadyManaged", {}) {
  override get message() {
    return "Migrations are already recorded for this database; use `deno task migrate up`."
  }
}

export interface Adopted {
  readonly files: ReadonlyArray<MigrationFile>
  /** Whether Alembic's table is there; it is left alone. */
  readonly alembic: boolean
}

/**
 * Records `files` as applied after checking that the schema is what they make. On a session of its own
 * that holds the migrations' lock.
 */
export const adopt = Effect.fn("Baseline.adopt")(function* (files: ReadonlyArray<MigrationFile>) {
  const sql = yield* SqlClient.SqlClient
  if ((yield* Ledger.entries).length > 0) {
    return yield* new AlreadyManaged()
  }
  const differences = yield* Drift.find(files)
  if (Array.isReadonlyArrayNonEmpty(differences)) {
    return yield* new SchemaDiffers({ differences })
  }
  yield* sql.withTransaction(Effect.gen(function* () {
    yield* Ledger.ensure
    // With nothing to apply, it makes its table.
    yield* EffectMigrator.make({})({ loader: Effect.succeed([]), table: Ledger.effectTable })
    yield* Effect.forEach(files, Ledger.adopt, { discard: true })
  })).pipe(Effect.catchTag("MigrationError", Effect.die))
  return { files, alembic: yield* Ledger.exists("public.alembic_version") }
})
