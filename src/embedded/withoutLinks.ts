import { Effect, FileSystem, Option, Path } from "effect"
import { ifFound, lstat } from "./attempt.ts"
import { DataDirUnusable } from "./EmbeddedPostgresUnavailable.ts"

/** As many as Linux follows in one path. */
const maxLinks = 40

/**
 * The absolute path without links, whose end need not exist. A link is followed if root or this user
 * made it: one that somebody else made, as anybody can in `/tmp`, may lead to any place.
 */
export const withoutLinks = Effect.fn("withoutLinks")(function* (configured: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = path.resolve(configured).split("/")
  let resolved = "/"
  let links = 0
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = path.join(resolved, name)
    const found = yield* ifFound(lstat(next))
    if (!Option.exists(found, ({ isSymlink }) => isSymlink)) {
      resolved = next
      continue
    }
    const { uid } = found.pipe(Option.getOrThrow)
    if ((uid !== 0 && uid !== Deno.uid()) || ++links > maxLinks) {
      return yield* new DataDirUnusable({
        dataDir: configured,
        detail: links > maxLinks
          ? `${next} is a link that leads back to itself. Name a directory.`
          : `${next} is a link of user ${uid}, which is not followed. Name the directory itself.`,
      })
    }
    names.unshift(...path.resolve(resolved, yield* fs.readLink(next)).split("/"))
    resolved = "/"
  }
  return resolved
})
