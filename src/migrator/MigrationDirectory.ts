/**
 * The directory that holds the migrations.
 */
import { Array, Effect, FileSystem, Order, Path, Schema } from "effect"
import type { PlatformError } from "effect/PlatformError"
import { MigrationFile, MigrationFileInvalid } from "./MigrationFile.ts"

export class MigrationDirectoryUnusable
  extends Schema.TaggedError<MigrationDirectoryUnusable>()("MigrationDirectoryUnusable", {
    directory: Schema.String,
    problem: Schema.String,
  }) {
  override get message() {
    return `The migrations in ${this.directory} can't be used (${this.problem}); check that they ` +
      "are deployed beside the code and that this process may use them."
  }
}

/** Says in a sentence what the file system says. */
export const unusable = (directory: string, error: PlatformError) =>
  new MigrationDirectoryUnusable({ directory, problem: error.reason._tag })

/** `migrations/` beside `src/`, wherever the process was started. */
export const path = Path.Path.use((path) =>
  Effect.orDie(path.fromFileUrl(new URL("../../migrations", import.meta.url)))
)

/** What all migrations together make, generated for reviews. */
const sum = "schema.sql"

/** Every migration of a directory by ascending number. Files that are not `.sql` are left alone. */
export const read = Effect.fn("MigrationDirectory.read")(
  function* (directory: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const names = yield* fs.readDirectory(directory)
    const files = yield* Effect.forEach(
      names.filter((name) => name.endsWith(".sql") && name !== sum),
      (name) =>
        Effect.flatMap(
          fs.readFile(path.join(directory, name)),
          (content) => MigrationFile.parse(name, content),
        ),
    )
    const sorted = Array.sortBy(
      Order.mapInput(Order.Number, (file: MigrationFile) => file.id),
      Order.mapInput(Order.String, (file: MigrationFile) => file.file),
    )(files)
    const twin = Array.zip(sorted, sorted.slice(1)).find(([a, b]) => a.id === b.id)
    if (twin !== undefined) {
      return yield* new MigrationFileInvalid({
        file: twin[1].file,
        problem: `has the number of ${twin[0].file}; give it the next free one`,
      })
    }
    return sorted
  },
  (effect, directory) =>
    Effect.catchTag(
      effect,
      "PlatformError",
      (error) => Effect.fail(unusable(directory, error)),
    ),
)
