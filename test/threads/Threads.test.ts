import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { makeClient } from "../faults/support/Client.ts"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import { answered } from "../faults/support/Stage.ts"
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
    /^latchkey_http_request_duration_seconds_count\{.*users\.list.*\} (\d+)$/m.exec(metrics)?.[1],
  )

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
