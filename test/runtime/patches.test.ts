import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

layer(TestDatabase.layer, { excludeTestServices: true })("the patches of the runtime", (it) => {
  it.effect("all take hold with these versions of Deno and Effect, and the log says so", () =>
    Effect.gen(function* () {
      const { connection } = yield* TestDatabase
      const service = yield* ServiceProcess.start({
        DATABASE_URL: ServiceProcess.databaseUrl(connection),
      })
      const [, line] = yield* service.said(/"patches":"([^"]*)"/)
      assert.strictEqual(line, "async-hooks on, connection-list on")
    }))
})
