import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { makeClient } from "./faults/support/Client.ts"
import { lockTable, untilWaiting } from "./faults/support/Cluster.ts"
import * as ServiceProcess from "./faults/support/ServiceProcess.ts"
import { answered } from "./faults/support/Stage.ts"
import { TestDatabase } from "./support/TestDatabase.ts"

const cleanUp = { method: "POST", path: "/v1/maintenance/delete-expired-tokens" }
const listUsers = { method: "GET", path: "/v1/users" }

/** The service with this many connections for requests, which wait for locks as long as it takes. */
const start = Effect.fnUntraced(function* (poolSize: number) {
  const { connection } = yield* TestDatabase
  const service = yield* ServiceProcess.start({
    DATABASE_URL: ServiceProcess.databaseUrl(connection),
    DATABASE_POOL_SIZE: String(poolSize),
    LOCK_TIMEOUT: "5m",
    STATEMENT_TIMEOUT: "5m",
    ANSWER_TIMEOUT: "5m",
  })
  return { service, client: yield* makeClient }
})

layer(TestDatabase.layer, { excludeTestServices: true })("the service", (it) => {
  it.effect("cleans up while requests hold all of their connections", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const stage = yield* start(1)
      const listing = yield* Effect.scoped(Effect.gen(function* () {
        yield* lockTable(connection, "users", "ACCESS EXCLUSIVE")
        const listing = yield* Effect.forkChild(answered(stage, 200, listUsers))
        // What ends too early says why.
        yield* Effect.raceFirst(untilWaiting(connection, "users"), Fiber.join(listing))
        const { answer } = yield* answered(stage, 200, cleanUp)
        assert.deepStrictEqual(answer.json, { deleted: 0 })
        assert.isUndefined(listing.pollUnsafe())
        return listing
      }))
      yield* Fiber.join(listing)
    }))

  it.effect("answers requests while clean-ups hold all of theirs, and each of them in its turn", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const stage = yield* start(1)
      const cleanUps = yield* Effect.scoped(Effect.gen(function* () {
        yield* lockTable(connection, "refresh_tokens")
        const cleanUps = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 5 }, () => answered(stage, 200, cleanUp)), {
            concurrency: "unbounded",
          }),
        )
        yield* Effect.raceFirst(untilWaiting(connection, "refresh_tokens", 2), Fiber.join(cleanUps))
        yield* answered(stage, 200, listUsers)
        assert.isUndefined(cleanUps.pollUnsafe())
        return cleanUps
      }))
      yield* Fiber.join(cleanUps)
    }))
})
