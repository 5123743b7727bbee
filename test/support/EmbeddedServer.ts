/** Embedded servers in directories of their own, for the tests of the embedded server itself. */
import { assert } from "@effect/vitest"
import { PgConnection } from "@effect/sql-pg"
import { Effect, FileSystem, Layer, Option, Schedule } from "effect"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import type { Account } from "../../src/embedded/Account.ts"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"

/** Starts the server in the scope of the caller. */
export const start = Effect.fnUntraced(function* (dataDir: string) {
  const services = yield* Layer.build(EmbeddedPostgres.layer({ dataDir, durable: false }))
  return (yield* Effect.provideContext(EmbeddedPostgres, services)).connection
})

/** The values of the first row. */
export const query = Effect.fnUntraced(function* (connection: ConnectionParameters, sql: string) {
  const client = yield* PgConnection.make(connection)
  return (yield* client.queryValues(sql))[0]
}, Effect.scoped)

/** Starts the server, runs the statements one after the other, and stops it. */
export const session = (dataDir: string, ...statements: Array<string>) =>
  Effect.scoped(Effect.flatMap(
    start(dataDir),
    (connection) => Effect.forEach(statements, (sql) => query(connection, sql)),
  ))

/** A path with a blank and a quote, in a directory that is gone, with all that it links to, after. */
export const temporaryDataDir = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const parent = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-embedded-" })
  yield* fs.chmod(parent, 0o755)
  const dataDir = `${parent}/it's the data`
  yield* Effect.addFinalizer(() =>
    fs.readLink(`${dataDir}/postgres`).pipe(
      Effect.flatMap((elsewhere) => fs.remove(elsewhere, { recursive: true })),
      Effect.ignore,
    )
  )
  return dataDir
})

/** Another process that runs a server, killed at the latest when the scope closes. */
export const serviceProcess = (dataDir: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const program = new URL("embeddedService.ts", import.meta.url).pathname
      return new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", program, dataDir],
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn()
    }),
    (child) => Effect.andThen(kill(child), Effect.promise(() => child.stdout.cancel())),
  )

/** Waits for the first words of the process: that its server answers. */
export const untilReady = Effect.fnUntraced(function* (child: Deno.ChildProcess) {
  const reader = child.stdout.getReader()
  const { value } = yield* Effect.promise(() => reader.read())
  reader.releaseLock()
  assert.strictEqual(new TextDecoder().decode(value), "ready\n")
})

/** The account that runs the server in this directory, where it is not this process's own. */
export const accountOf = Effect.fnUntraced(function* (dataDir: string) {
  const fs = yield* FileSystem.FileSystem
  const { uid, gid } = yield* fs.stat(`${dataDir}/postgres/cluster`)
  return Deno.uid() === 0 ? { uid: Option.getOrThrow(uid), gid: Option.getOrThrow(gid) } : undefined
})

/** Starts a program as an account, until the scope closes. */
export const spawnAs = (
  account: Account,
  [program = "", ...args]: ReadonlyArray<string>,
  cwd = "/",
) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Deno.Command(program, {
        ...account,
        args: [...args],
        cwd,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn()
    ),
    (child) => kill(child),
  )

/** Sends a signal, which the process may not live to get, and waits for its end. */
export const kill = (child: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL") =>
  Effect.andThen(
    Effect.ignore(Effect.try({ try: () => child.kill(signal), catch: () => "gone" })),
    Effect.promise(() => child.status),
  )

/** The command lines, by process id, of all that runs for the server in this directory. */
export const processesOf = Effect.fnUntraced(function* (dataDir: string) {
  const fs = yield* FileSystem.FileSystem
  const cluster = `${yield* fs.realPath(`${dataDir}/postgres`)}/cluster`
  const pids = (yield* fs.readDirectory("/proc")).filter((name) => /^\d+$/.test(name))
  const found = new Map<number, Array<string>>()
  for (const pid of pids) {
    const commandLine = yield* Effect.orElseSucceed(
      fs.readFileString(`/proc/${pid}/cmdline`),
      () => "",
    )
    const words = commandLine.split("\0").slice(0, -1)
    if (words.includes(cluster)) {
      found.set(Number(pid), words)
    }
  }
  return found
})

/** Looks again until it is so; the test's own time limit bounds it. */
export const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(condition, { until: (holds) => holds, schedule: Schedule.spaced("10 millis") })
