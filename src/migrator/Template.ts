/**
 * New migrations: the next number, and what whoever writes one has to know.
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import { label } from "./Comparison.ts"
import * as MigrationDirectory from "./MigrationDirectory.ts"

/** What a migration can't be called. */
export class MigrationNameInvalid
  extends Schema.TaggedError<MigrationNameInvalid>()("MigrationNameInvalid", {
    name: Schema.String,
  }) {
  override get message() {
    return `${
      JSON.stringify(this.name)
    } is no name for a migration; say what it does in letters, ` +
      "digits and _, such as add_user_phone."
  }
}

const transactional = (latest: string) =>
  `-- Why this change is needed.
--
-- It runs in one transaction, and a statement waits at most 5 seconds for a lock. Code of the version
-- before runs beside it, so where rows exist:
-- - add columns without a default that is computed for each row, and NOT NULL only with a default;
-- - add constraints NOT VALID, and VALIDATE CONSTRAINT in the next migration;
-- - build indexes in a file of their own: new NAME --concurrently;
-- - drop or rename what the version before still uses in a later migration.
--
-- If code that knows only the migrations up to ${latest} works with the result, add the header
-- "compatible-with: ${latest}" behind two dashes. Once it has landed, this file is never edited.

`

const concurrent = (latest: string) =>
  `-- no-transaction
-- compatible-with: ${latest}
-- Why these indexes are needed.
--
-- Each statement is committed by itself, and a run after a failure goes on at the one that failed. An
-- index that a failed build left invalid is dropped and built again.

CREATE INDEX CONCURRENTLY table_column_idx ON table (column);
`

const normalized = (name: string) => name.trim().toLowerCase().replace(/[\s-]+/g, "_")

/** Writes a new migration into a directory and gives back its path. */
export const create = Effect.fn("Template.create")(
  function* (directory: string, name: string, concurrently: boolean) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const snakeCase = normalized(name)
    if (!/^[a-z0-9]+(?:_[a-z0-9]+)*$/.test(snakeCase)) {
      return yield* new MigrationNameInvalid({ name })
    }
    const files = yield* MigrationDirectory.read(directory)
    const latest = files.at(-1)?.id ?? 0
    const file = path.join(directory, `${label(latest + 1, snakeCase)}.sql`)
    const template = concurrently ? concurrent : transactional
    // "wx": another one may have taken the name meanwhile.
    yield* fs.writeFileString(file, template(String(latest).padStart(4, "0")), { flag: "wx" }).pipe(
      Effect.mapError((error) => MigrationDirectory.unusable(directory, error)),
    )
    return file
  },
)
