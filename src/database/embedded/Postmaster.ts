/**
 * PostgreSQL's main process, as seen from outside: through `postmaster.pid`, which it keeps in its
 * data directory, and through the operating system.
 */
import { Effect, FileSystem, Option, type PlatformError, Schedule } from "effect"
import { handOver, run } from "./Account.ts"
import type { DataDir } from "./DataDir.ts"
import { PostgresNotStarted } from "./EmbeddedPostgresUnavailable.ts"

/** A process id that no system gives out. */
const impossiblePid = 2_147_483_647

/** None where a file is not there: a server that ends removes its own at any moment. */
const ifThere = <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
  Effect.catchIf(
    Effect.asSome(effect),
    (error) => error.reason._tag === "NotFound",
    () => Effect.succeedNone,
  )

/** The lines of `postmaster.pid` (PostgreSQL's `miscadmin.h` names them all), if it is there. */
const readPidFile = Effect.fnUntraced(function* ({ cluster }: DataDir) {
  const fs = yield* FileSystem.FileSystem
  const content = yield* ifThere(fs.readFileString(`${cluster}/postmaster.pid`))
  return Option.map(content, (text) => text.split("\n"))
})

/** Whether it has opened its port, and this one, and takes connections. */
export const isReady = Effect.fnUntraced(function* (dataDir: DataDir, port: number) {
  const lines = yield* readPidFile(dataDir)
  return Option.exists(lines, (line) => line[3] === String(port) && line[7]?.trim() === "ready")
})

/**
 * Whether the process is the PostgreSQL of exactly this data directory: ids are given out again, so
 * its command line decides. A process that is gone, or a zombie, has none.
 */
const isPostmaster = Effect.fnUntraced(function* (pid: number, { cluster }: DataDir) {
  const fs = yield* FileSystem.FileSystem
  const commandLine = Deno.build.os === "linux"
    ? yield* Effect.orElseSucceed(fs.readFileString(`/proc/${pid}/cmdline`), () => "")
    : (yield* run(undefined, "/bin/ps", ["-ww", "-o", "command=", "-p", String(pid)])).stdout
  const words = commandLine.replaceAll("\0", " ")
  return words.includes(`/postgres -D ${cluster} -c `) && !words.startsWith("/bin/sh ")
})

const signal = (pid: number, name: Deno.Signal) =>
  Effect.ignore(Effect.try({ try: () => Deno.kill(pid, name), catch: () => "gone" }))

/**
 * Ends what a service that died has left behind. The caller holds the lock on the directory, so
 * that a server which still runs in it belongs to nobody.
 */
export const takeOver = Effect.fn("Postmaster.takeOver")(function* (dataDir: DataDir) {
  const lines = yield* readPidFile(dataDir)
  if (Option.isNone(lines)) {
    return
  }
  const pid = Number(lines.value[0])
  const isGone = Effect.map(isPostmaster(pid, dataDir), (alive) => !alive)
  if (yield* isGone) {
    return yield* disownPidFile(dataDir, lines.value)
  }
  const gone = Effect.repeat(isGone, { until: (gone) => gone, schedule: Schedule.spaced(20) })
  yield* signal(pid, "SIGINT")
  const stopped = yield* Effect.timeoutOption(gone, "5 seconds")
  if (Option.isSome(stopped)) {
    return
  }
  yield* signal(pid, "SIGQUIT")
  yield* Effect.timeoutOrElse(gone, {
    duration: "7 seconds",
    orElse: () =>
      new PostgresNotStarted({
        detail: `process ${pid} is the server of an earlier run and does not stop`,
        output: "",
      }),
  })
})

/**
 * PostgreSQL refuses to start while any process of its user has the id in the file, though it may
 * have been given to another program. Only the id is replaced and the file kept, because its other
 * lines let PostgreSQL find out whether connections of the dead server are still at work.
 */
const disownPidFile = Effect.fnUntraced(function* (dataDir: DataDir, lines: Array<string>) {
  const fs = yield* FileSystem.FileSystem
  const file = `${dataDir.cluster}/postmaster.pid`
  const removed = yield* ifThere(fs.remove(file))
  if (Option.isSome(removed) && lines.length >= 7) {
    const content = [impossiblePid, ...lines.slice(1)].join("\n")
    yield* fs.writeFileString(file, content, { flag: "wx", mode: 0o600 })
    yield* handOver(dataDir.account, file)
  }
})
