import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { NetAddress } from "effect/net"
import { TimeToClose } from "../../src/background/closingWithin.ts"
import { Fatal } from "../../src/background/Fatal.ts"
import { Threads } from "../../src/threads/Threads.ts"
import { makeClient } from "../faults/support/Client.ts"
import * as Proxy from "../faults/support/Proxy.ts"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import { answered } from "../faults/support/Stage.ts"
import { LogLines } from "../support/LogLines.ts"
import * as Program from "../support/Program.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const start = Effect.fnUntraced(function* (variables: Record<string, string> = {}) {
  const { connection } = yield* TestDatabase
  return yield* ServiceProcess.start({
    DATABASE_URL: ServiceProcess.databaseUrl(connection),
    THREADS: "2",
    ...variables,
  })
})

const listUsers = { method: "GET", path: "/v1/users" }

/** How many lists of users were counted. */
const countOf = (metrics: string) =>
  Number(
    /^latchkey_http_requests_total\{method="GET",route="\/v1\/users",status="2xx"\} (\d+)$/m
      .exec(metrics)?.[1],
  )

const Observed = Layer.merge(LogLines.layer, Fatal.layer)

/** One further thread of this script, with this much time to close. */
const scripted = (script: string, time: Duration.Duration) =>
  Threads.layer(
    2,
    new URL(`../support/scriptedThread.ts#${encodeURIComponent(script)}`, import.meta.url),
  ).pipe(Layer.provide(Layer.succeed(TimeToClose, Effect.succeed(time))))

const address = NetAddress.inetAddressFromIpStringUnsafe("127.0.0.1", 1)

layer(TestDatabase.layerClient, { excludeTestServices: true })("Threads", (it) => {
  it.effect("tells a thread to stop, and waits until it has", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      yield* Threads.use(({ start, stop }) => Effect.andThen(start(address), stop)).pipe(
        Effect.provide(scripted("stops when it is told to", Duration.hours(1))),
      )
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(Observed)))

  it.effect("waits for a thread that starts, but not when it is told to stop", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      yield* Effect.gen(function* () {
        const { start, stop } = yield* Threads
        const starting = yield* Effect.forkChild(start(address), { startImmediately: true })
        yield* stop
        yield* Fiber.interrupt(starting)
      }).pipe(Effect.provide(scripted("never listens", Duration.hours(1))))
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(Observed)))

  it.effect("ends a thread that does not stop in time, and says so", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      yield* Threads.use(({ start, stop }) => Effect.andThen(start(address), stop)).pipe(
        Effect.provide(scripted("never stops", Duration.millis(10))),
      )
      assert.deepStrictEqual(lines, ["Warn Thread 2 has not stopped in time; terminating it"])
    }).pipe(Effect.provide(Observed)))

  it.effect("says what breaks in a thread while it stops", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      yield* Threads.use(({ start, stop }) => Effect.andThen(start(address), stop)).pipe(
        Effect.provide(scripted("fails when it is told to stop", Duration.hours(1))),
      )
      assert.deepStrictEqual(lines, ["Error Thread 2 has failed: no end."])
    }).pipe(Effect.provide(Observed)))

  it.effect.each(
    [
      ["throws", "Thread 2 died: Uncaught Error: boom."],
      ["fails", "Thread 2 has failed: no database."],
      ["ends", "Thread 2 has ended."],
    ] as const,
  )("ends the service when a thread %s", ([script, expected]) =>
    Effect.gen(function* () {
      const { failed } = yield* Fatal
      const { message } = yield* Threads.use(({ start }) => start(address)).pipe(
        Effect.andThen(Effect.never),
        Effect.raceFirst(failed),
        Effect.flip,
        Effect.provide(scripted(script, Duration.hours(1))),
      )
      assert.strictEqual(message, expected)
    }).pipe(Effect.provide(Observed)))
})

layer(TestDatabase.layer, { excludeTestServices: true })("a port that is taken", (it) => {
  it.effect.each(["1", "2"])(
    "stops the start of a service with a sentence, threads: %s",
    (threads) =>
      Effect.gen(function* () {
        const { port } = yield* start({ THREADS: threads })
        const { output } = yield* Effect.flip(start({ PORT: String(port), THREADS: threads }))
        assert.include(
          output,
          `Cannot listen on 127.0.0.1, port ${port}: another program has the port. Stop it, or set ` +
            `PORT to another one (EADDRINUSE).`,
        )
      }),
  )
})

layer(TestDatabase.layer, { excludeTestServices: true })("two threads", (it) => {
  it.effect("answer one port, and each of them tells of all requests", () =>
    Effect.gen(function* () {
      const service = yield* start()
      const stage = { service, client: yield* makeClient }
      assert.include(service.output(), "in 2 threads")
      const requests = 60
      // A connection each: the system spreads them over the threads.
      yield* Effect.forEach(
        Array.from({ length: requests }),
        () => answered(stage, 200, { ...listUsers, headers: { connection: "close" } }),
        { concurrency: 8 },
      )
      const counts = yield* Effect.forEach(
        Array.from({ length: 12 }),
        () =>
          Effect.map(
            answered(stage, 200, {
              method: "GET",
              path: "/metrics",
              headers: { connection: "close" },
            }),
            ({ answer }) => countOf(answer.text),
          ),
      )
      assert.deepStrictEqual(new Set(counts), new Set([requests]))
    }))

  it.effect("stop together, and say that they do", () =>
    Effect.gen(function* () {
      // So long that only a stop that hangs reaches it.
      const service = yield* start({ SHUTDOWN_TIMEOUT: "1h" })
      const stage = { service, client: yield* makeClient }
      yield* answered(stage, 200, listUsers)
      yield* service.signal("SIGTERM")
      const { code } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.notInclude(service.output(), "timed out")
    }))
})

const temporary = Effect.acquireRelease(
  Effect.promise(() => Deno.makeTempDir({ prefix: "latchkey-threads-" })),
  (directory) => Effect.promise(() => Deno.remove(directory, { recursive: true })),
)

/** A file that tells each who reads it what is written for them; writing waits for the reader. */
const makePipes = Effect.gen(function* () {
  const directory = yield* temporary
  const path = `${directory}/url`
  const tell = (pipe: string, text: string) =>
    Effect.promise(async () => {
      await new Deno.Command("mkfifo", { args: [`${directory}/${pipe}`] }).output()
      await Deno.symlink(pipe, `${directory}/next`)
      await Deno.rename(`${directory}/next`, path)
      await Deno.writeTextFile(path, text)
    })
  return { path, tell }
})

/** A service whose second thread finds no database, though the first one does. */
const startWithoutDatabase = Effect.gen(function* () {
  const { connection } = yield* TestDatabase
  const proxy = yield* Proxy.make(connection)
  yield* proxy.behave({ _tag: "Reset" })
  const { path, tell } = yield* makePipes
  const first = yield* Effect.forkChild(tell("first", ServiceProcess.databaseUrl(connection)), {
    startImmediately: true,
  })
  const service = yield* Program.start(["run", "-A", "src/bin/main.ts"], {
    PORT: "0",
    THREADS: "2",
    LOG_FORMAT: "json",
    API_KEYS: ServiceProcess.apiKeys,
    DATABASE_URL_FILE: path,
    SHUTDOWN_TIMEOUT: "1h",
  })
  yield* Fiber.join(first)
  yield* tell("second", ServiceProcess.databaseUrl(connection, proxy.port))
  yield* service.said(/Thread 2 cannot start; it tries again every second: /)
  assert.notInclude(service.output(), "Listening")
  return { service, proxy }
})

layer(TestDatabase.layer, { excludeTestServices: true })("a thread that cannot start", (it) => {
  it.effect("is told of once, and joins the others when it can; only then do all listen", () =>
    Effect.gen(function* () {
      const { service, proxy } = yield* startWithoutDatabase
      yield* proxy.behave({ _tag: "Pass" })
      yield* service.said(/Thread 2 has started/)
      yield* service.said(/Listening on \S+, in 2 threads/)
      assert.strictEqual(service.output().match(/cannot start/g)?.length, 1)
      yield* service.signal("SIGTERM")
      const { code } = yield* service.ended
      assert.strictEqual(code, 0)
    }))

  it.effect("does not hold up a stop", () =>
    Effect.gen(function* () {
      const { service } = yield* startWithoutDatabase
      yield* service.signal("SIGTERM")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.notMatch(output, /timed out|not stopped in time|"FATAL"/)
    }))
})
