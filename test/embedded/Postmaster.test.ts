import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import {
  accountOf,
  eventually,
  kill,
  processesOf,
  query,
  serviceProcess,
  session,
  spawnAs,
  start,
  temporaryDataDir,
  untilReady,
} from "../support/EmbeddedServer.ts"

const provided = Effect.provide(NodeServices.layer)

// The processes are looked for in /proc.
const isLinux = Deno.build.os === "linux"
describe.runIf(isLinux)("the server of a service that died", () => {
  it.live.each<Deno.Signal>(["SIGKILL", "SIGTERM", "SIGINT"])(
    "stops by itself after %s, and loses nothing",
    (signal) =>
      Effect.gen(function* () {
        const dataDir = yield* temporaryDataDir
        yield* session(dataDir, "CREATE TABLE kept ()")
        const service = yield* serviceProcess(dataDir)
        yield* untilReady(service)
        assert.isAbove((yield* processesOf(dataDir)).size, 0)

        yield* kill(service, signal)
        yield* eventually(Effect.map(processesOf(dataDir), ({ size }) => size === 0))
        yield* session(dataDir, "SELECT FROM kept")
      }).pipe(provided),
  )

  it.live("is taken over by the next service without a pause", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const service = yield* serviceProcess(dataDir)
      yield* untilReady(service)
      yield* kill(service)

      const connection = yield* start(dataDir)
      assert.deepStrictEqual(yield* query(connection, "SELECT 1"), [1])
    }).pipe(provided))

  it.live("is stopped by the next service if nothing else did", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const commandLine = yield* Effect.scoped(Effect.gen(function* () {
        yield* start(dataDir)
        const running = yield* processesOf(dataDir)
        const words = [...running.values()].find(([program]) => program?.endsWith("/postgres")) ??
          []
        // The directory of its socket may be gone with the service.
        return words.map((word) => word.replace(/^(unix_socket_directories=).*/, "$1."))
      }))
      const orphan = yield* spawnAs(yield* accountOf(dataDir), commandLine)
      const pidFile = `${dataDir}/postgres/cluster/postmaster.pid`
      const fs = yield* FileSystem.FileSystem
      yield* eventually(fs.exists(pidFile))

      yield* session(dataDir, "SELECT 1")
      assert.isTrue((yield* Effect.promise(() => orphan.status)).success)
    }).pipe(provided))

  it.live("does not come back as whatever has its process id now", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const pidFile = `${dataDir}/postgres/cluster/postmaster.pid`
      const lines = yield* Effect.scoped(
        Effect.andThen(start(dataDir), fs.readFileString(pidFile)),
      )
      const bystander = yield* spawnAs(yield* accountOf(dataDir), ["/bin/sleep", "3600"])
      yield* fs.writeFileString(pidFile, lines.replace(/^\d+/, String(bystander.pid)))

      yield* session(dataDir, "SELECT 1")
      bystander.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => bystander.status)).signal, "SIGTERM")
    }).pipe(provided))

  it.live("is made anew if it died while making its cluster", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const unfinished = fs.readDirectory(`${dataDir}/postgres`).pipe(
        Effect.map((names) => names.filter((name) => name.endsWith(".unfinished"))),
        Effect.orElseSucceed(() => []),
      )
      // Done again where the cluster was complete before the signal came.
      yield* Effect.gen(function* () {
        yield* fs.remove(dataDir, { recursive: true, force: true })
        const service = yield* serviceProcess(dataDir)
        yield* eventually(Effect.map(unfinished, ({ length }) => length === 1))
        yield* kill(service)
        return yield* fs.exists(`${dataDir}/postgres/cluster`)
      }).pipe(Effect.repeat({ until: (isComplete) => !isComplete }))
      assert.lengthOf(yield* unfinished, 1)

      yield* session(dataDir, "SELECT 1")
      assert.deepStrictEqual(yield* unfinished, [])
    }).pipe(provided))
})
