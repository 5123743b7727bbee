/**
 * The place of a database that its account could not reach inside `DATA_DIR`: a directory under
 * {@link systemDirectory}, which `DATA_DIR/postgres` is a link to.
 */
import { Effect, FileSystem, Option, Path } from "effect"
import { isRoot } from "./Account.ts"
import { ifFound, lstat } from "./attempt.ts"
import { DataDirUnusable } from "./EmbeddedPostgresUnavailable.ts"
import * as SystemDirectory from "./systemDirectory.ts"

/** Makes one for a `DATA_DIR`, which is still to be linked to it. */
export const make = Effect.fn("LinkedHome.make")(function* (dataDir: string) {
  const fs = yield* FileSystem.FileSystem
  yield* SystemDirectory.open(dataDir)
  const home = `${SystemDirectory.systemDirectory}/${crypto.randomUUID()}`
  yield* fs.makeDirectory(home, { mode: 0o711 })
  yield* fs.chmod(home, 0o711)
  yield* fs.writeFileString(`${home}/origin`, dataDir)
  return home
})

/**
 * Makes sure that `entry`, if it is such a link, belongs to this `DATA_DIR`: it survives that its
 * `DATA_DIR` is moved, but a copy must not share the original's database.
 */
export const verify = Effect.fn("LinkedHome.verify")(function* (dataDir: string, entry: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (!(yield* lstat(entry)).isSymlink) {
    return
  }
  const home = yield* fs.readLink(entry)
  if (path.dirname(home) !== SystemDirectory.systemDirectory) {
    return
  }
  if (yield* isRoot) {
    yield* SystemDirectory.open(dataDir)
  }
  const origin = yield* ifFound(fs.readFileString(`${home}/origin`))
  if (Option.isNone(origin)) {
    return yield* new DataDirUnusable({
      dataDir,
      detail: `its database was in ${home}, which is gone or no longer complete. Restore that ` +
        `directory, or delete the link ${entry} to start with an empty database.`,
    })
  }
  if (origin.value === dataDir) {
    return
  }
  const linkOfOrigin = yield* Effect.option(fs.readLink(`${origin.value}/postgres`))
  if (Option.contains(linkOfOrigin, home)) {
    return yield* new DataDirUnusable({
      dataDir,
      detail: `it is a copy of ${origin.value}, whose database is in ${home}. Delete the link ` +
        `${entry} to start with an empty database.`,
    })
  }
  yield* fs.writeFileString(`${home}/origin`, dataDir)
})
