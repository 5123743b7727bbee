import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Result, Schedule } from "effect"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import { temporaryDataDir } from "../support/EmbeddedServer.ts"

const provided = Effect.provide(NodeServices.layer)

/** Sends a signal to the main process of the server, as soon as there is one. */
const signalServer = Effect.fnUntraced(function* (dataDir: string, signal: Deno.Signal) {
  const fs = yield* FileSystem.FileSystem
  const pid = yield* fs.readFileString(`${dataDir}/postgres/cluster/postmaster.pid`).pipe(
    Effect.map((text) => Number(text.split("\n")[0])),
    Effect.filterOrFail((pid) => pid > 1),
    Effect.retry(Schedule.spaced("10 millis")),
  )
  Deno.kill(pid, signal)
})

/** The entries of the log that are no news of something that goes well. */
const complaintsIn = (output: string) =>
  output.split("\n").filter((line) =>
    line !== "" && !line.includes('"level":"INFO"') &&
    // Readiness may be looked at just before the end of the server is known.
    !/Not ready \(database-unreachable\)|Statements fail for an outage/.test(line)
  )

describe("the service on its embedded server", () => {
  it.live.each(["1", "2"])("ends with 1 and one sentence when the server ends, threads: %s", (
    threads,
  ) =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const service = yield* ServiceProcess.start({ DATA_DIR: dataDir, THREADS: threads })

      yield* signalServer(dataDir, "SIGKILL")
      assert.strictEqual((yield* service.ended).code, 1)
      const [complaint = "", ...others] = complaintsIn(service.output())
      assert.include(
        complaint,
        "The embedded PostgreSQL ended (signal 9), and the service ends with it.",
      )
      assert.deepStrictEqual(others, [])
    }).pipe(provided))

  it.live("ends with 1 when the server ends during the start", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const starting = yield* Effect.forkChild(
        Effect.result(ServiceProcess.start({ DATA_DIR: dataDir })),
      )

      yield* signalServer(dataDir, "SIGKILL")
      const started = yield* Fiber.join(starting)
      const { code } = Result.isFailure(started) ? started.failure : yield* started.success.ended
      assert.strictEqual(code, 1)
    }).pipe(provided))

  it.live("ends with 0 when both are told to stop, as systemd does", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const service = yield* ServiceProcess.start({ DATA_DIR: dataDir })

      yield* service.signal("SIGTERM")
      yield* signalServer(dataDir, "SIGTERM")
      assert.strictEqual((yield* service.ended).code, 0)
      assert.deepStrictEqual(complaintsIn(service.output()), [])
    }).pipe(provided))

  it.live("is refused beside another one in the same directory, with a sentence", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDataDir
      const starts = yield* Effect.all(
        [1, 2].map(() => Effect.result(ServiceProcess.start({ DATA_DIR: dataDir }))),
        { concurrency: "unbounded" },
      )

      const failures = starts.filter(Result.isFailure).map(({ failure }) => failure)
      assert.deepStrictEqual(failures.map(({ code }) => code), [1])
      const complaints = complaintsIn(failures[0]?.output ?? "")
      assert.strictEqual(complaints.length, 1)
      assert.match(complaints[0] ?? "", /is in use by process \d+\. Stop that process, /)
    }).pipe(provided))

  it.live("says where the data is when that is not in DATA_DIR", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* temporaryDataDir
      const elsewhere = `${dataDir} elsewhere`
      yield* fs.makeDirectory(dataDir)
      yield* fs.makeDirectory(elsewhere)
      yield* fs.symlink(elsewhere, `${dataDir}/postgres`)

      const service = yield* ServiceProcess.start({ DATA_DIR: dataDir })
      assert.include(service.output(), `Data is kept outside of DATA_DIR, in ${elsewhere}`)
    }).pipe(provided))
})
