import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Ref } from "effect"
import { SqlClient } from "effect/sql"
import * as Bulkhead from "../../src/database/Bulkhead.ts"
import { makeWaitFor } from "../../src/database/LockWaits.ts"
import { DatabaseUnavailable } from "../../src/domain/DatabaseUnavailable.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** A write that fails with each of the SQLSTATEs, and then does not; gives how often it was tried. */
const triedUntilDone = Effect.fnUntraced(function* (
  lockTimeout: Duration.Duration,
  codes: ReadonlyArray<string>,
) {
  const waitFor = yield* makeWaitFor(yield* SqlClient.SqlClient).pipe(
    Effect.provideService(Bulkhead.Bulkhead, Bulkhead.make(2, lockTimeout)),
  )
  const tries = yield* Ref.make(0)
  const write = Ref.getAndUpdate(tries, (count) => count + 1).pipe(
    Effect.flatMap((count) => {
      const code = codes[count]
      return code === undefined ? Effect.void : Effect.fail(new DatabaseUnavailable({ code }))
    }),
  )
  const result = yield* Effect.result(waitFor("a row", write))
  return { result, tries: yield* Ref.get(tries) }
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "a write that waits for a lock",
  (it) => {
    it.effect(
      "is tried again after a lock timeout, also after one that PostgreSQL takes for a cancellation",
      () =>
        Effect.gen(function* () {
          const { result, tries } = yield* triedUntilDone(
            Duration.minutes(1),
            ["57014", "55P03", "57014"],
          )
          assert.strictEqual(result._tag, "Success")
          assert.strictEqual(tries, 4)
        }),
    )

    it.effect("is not tried again when its time is over", () =>
      Effect.gen(function* () {
        const { result, tries } = yield* triedUntilDone(Duration.zero, ["57014"])
        assert(result._tag === "Failure")
        assert.strictEqual(result.failure.code, "57014")
        assert.strictEqual(tries, 1)
      }))

    it.effect("is not tried again when the database is away", () =>
      Effect.gen(function* () {
        const { result, tries } = yield* triedUntilDone(Duration.minutes(1), ["57P01"])
        assert(result._tag === "Failure")
        assert.strictEqual(result.failure.code, "57P01")
        assert.strictEqual(tries, 1)
      }))
  },
)
