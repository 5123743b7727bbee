import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { type StartTimedOut, startWithin } from "../../src/background/startWithin.ts"
import { LogLines } from "../support/LogLines.ts"

class Away extends Data.TaggedError("Away")<{
  readonly message: string
  readonly passes: boolean
}> {}

class Part extends Context.Service<Part, { readonly number: number }>()("latchkey/test/Part") {}

/** A part that fails with these one after the other, and how many of it are open. */
const scripted = (...failures: ReadonlyArray<Away>) => {
  const state = { tries: 0, open: 0 }
  const layer = Layer.effect(
    Part,
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => state.open++),
        () => Effect.sync(() => state.open--),
      )
      const failure = failures[state.tries++]
      return failure === undefined ? { number: state.tries } : yield* failure
    }),
  )
  return { state, layer }
}

const away = (message: string) => new Away({ message, passes: true })

const waiting = (layer: Layer.Layer<Part, Away>, time: Duration.Input) =>
  startWithin(layer, {
    what: "the part",
    time: Duration.fromInputUnsafe(time),
    isPassing: ({ passes }) => passes,
  })

const start = (layer: Layer.Layer<Part, Away | StartTimedOut>) =>
  Effect.forkChild(Effect.exit(Effect.provide(Part, layer)))

describe("startWithin", () => {
  it.effect("tries again while it may pass, and logs changes of the reason alone", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const { layer, state } = scripted(
        away("It is starting."),
        away("It is starting."),
        away("It is a standby."),
      )
      const fiber = yield* start(waiting(layer, "30 seconds"))
      yield* TestClock.adjust("99 millis")
      assert.deepStrictEqual(state, { tries: 1, open: 0 })
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.join(fiber)
      assert.strictEqual(exit._tag === "Success" && exit.value.number, 4)
      assert.deepStrictEqual(lines, [
        "Warn Waiting for the part, up to 30s: It is starting.",
        "Warn Still waiting for the part: It is a standby.",
        "Info Waited 1s for the part, which can be used now",
      ])
    }).pipe(Effect.provide(LogLines.layer)))

  it.effect("says at last how long it has waited", () =>
    Effect.gen(function* () {
      const { layer, state } = scripted(...Array.from({ length: 99 }, () => away("It is away.")))
      const fiber = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(Layer.build(waiting(layer, "30 seconds")))),
      )
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { message } = yield* Fiber.join(fiber)
      assert.strictEqual(message, "It is away. It was waited for 30s in vain.")
      assert.strictEqual(state.open, 0)
    }).pipe(Effect.provide(LogLines.layer)))

  it.effect("does not wait for what does not pass, nor for no time", () =>
    Effect.gen(function* () {
      const lines = yield* LogLines
      const wrong = new Away({ message: "The password is wrong.", passes: false })
      for (const [failure, time] of [[wrong, "30 seconds"], [away("It is away."), 0]] as const) {
        const { layer, state } = scripted(failure)
        const error = yield* Effect.flip(Effect.scoped(Layer.build(waiting(layer, time))))
        assert.strictEqual(error, failure)
        assert.deepStrictEqual(state, { tries: 1, open: 0 })
      }
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(LogLines.layer)))
})
