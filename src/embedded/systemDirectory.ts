import { Effect, FileSystem } from "effect"
import { lstat } from "./attempt.ts"
import { DataDirUnusable } from "./EmbeddedPostgresUnavailable.ts"

/** Where root keeps what an unprivileged user must reach although `DATA_DIR` is closed to it. */
export const systemDirectory = "/var/lib/latchkey"

/** Whether nobody but root can write to a directory. The group of root is root. */
export const isClosed = (
  { uid, gid, mode }: Pick<Deno.FileInfo, "uid" | "gid" | "mode">,
): boolean => uid === 0 && mode !== null && (mode & (gid === 0 ? 0o002 : 0o022)) === 0

/** Makes the directory, or makes sure that the one there is root's own. Others can pass through it. */
export const open = Effect.fn("systemDirectory.open")(function* (dataDir: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(systemDirectory, { recursive: true, mode: 0o711 })
  const info = yield* lstat(systemDirectory)
  if (!info.isDirectory || !isClosed(info)) {
    return yield* new DataDirUnusable({
      dataDir,
      detail: `${systemDirectory}, which is used as root, is not a directory that only root can ` +
        `write to. Look at who made it, and run: chown root:root ${systemDirectory} && ` +
        `chmod 711 ${systemDirectory}`,
    })
  }
  // The umask of root may keep others out of what it makes.
  yield* fs.chmod(systemDirectory, 0o711)
})
