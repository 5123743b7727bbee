import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"

describe("requireAssertions", () => {
  it("lets a test pass that asserts", () => assert.isTrue(true))

  it.fails("fails a test that asserts nothing", () => {})

  describe.concurrent("of two tests that run beside each other", () => {
    const silent = Deferred.makeUnsafe<void>()
    const asserted = Deferred.makeUnsafe<void>()

    it.live("lets the one pass that asserts, though in another fiber", () =>
      Effect.gen(function* () {
        yield* Deferred.await(silent)
        yield* Fiber.join(yield* Effect.forkChild(Effect.sync(() => assert.isTrue(true))))
        yield* Deferred.succeed(asserted, undefined)
      }))

    it.live.fails("fails the one that asserts nothing", () =>
      Effect.andThen(Deferred.succeed(silent, undefined), Deferred.await(asserted)))
  })
})
