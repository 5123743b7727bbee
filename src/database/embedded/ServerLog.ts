/** The file that PostgreSQL writes its messages to, kept from growing without bound. */
import { ByteSize, Effect, FileSystem, Schedule, Stream } from "effect"
import { handOver } from "./Account.ts"
import type { DataDir } from "./DataDir.ts"

/** What the file may grow to, but for what comes in a minute. As much again is kept of the past. */
const limit = ByteSize.mebibytes(10)

/** Makes the file, and keeps it in bounds until the scope closes. */
export const open = Effect.fn("ServerLog.open")(function* ({ log, account }: DataDir) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(log, "", { flag: "a", mode: 0o600 })
  yield* handOver(account, log)
  // PostgreSQL holds the file open and appends: it is emptied, since renaming it would not end that.
  const bound = Effect.gen(function* () {
    const { size } = yield* fs.stat(log)
    if (ByteSize.isGreaterThan(size, limit)) {
      yield* fs.copyFile(log, `${log}.old`)
      yield* fs.truncate(log)
    }
  })
  yield* bound
  yield* Effect.ignore(bound).pipe(Effect.repeat(Schedule.spaced("1 minute")), Effect.forkScoped)
})

/** Where the next message will be written. */
export const end = Effect.fnUntraced(function* ({ log }: DataDir) {
  const fs = yield* FileSystem.FileSystem
  return (yield* fs.stat(log)).size
})

/** The last lines that were written since `offset`. */
export const tail = Effect.fnUntraced(function* ({ log }: DataDir, offset: ByteSize.ByteSize) {
  const fs = yield* FileSystem.FileSystem
  const written = yield* Stream.mkString(Stream.decodeText(fs.stream(log, { offset })))
  return written.trim().split("\n").slice(-10).join("\n")
})
