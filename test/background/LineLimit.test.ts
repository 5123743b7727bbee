import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { makeLineLimit } from "../../src/background/LineLimit.ts"
import { LogLines } from "../support/LogLines.ts"

const make = makeLineLimit({
  perSecond: 2,
  leftOut: (count) => Effect.logWarning(`${count} more`),
})

it.effect("makeLineLimit counts what is beyond the limit, and tells when the second is over", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const limited = yield* make
    for (let entry = 1; entry <= 5; entry++) yield* limited(Effect.logInfo(`entry ${entry}`))
    assert.deepStrictEqual(lines, ["Info entry 1", "Info entry 2"])
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(lines.slice(2), ["Warn 3 more"])
    yield* limited(Effect.logInfo("entry 6"))
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(lines.slice(3), ["Info entry 6"])
  }).pipe(Effect.scoped, Effect.provide(LogLines.layer)))

it.effect("makeLineLimit tells what was left out when its scope closes", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    yield* Effect.scoped(Effect.gen(function* () {
      const limited = yield* make
      for (let entry = 1; entry <= 3; entry++) yield* limited(Effect.logInfo(`entry ${entry}`))
    }))
    assert.deepStrictEqual(lines.slice(2), ["Warn 1 more"])
  }).pipe(Effect.provide(LogLines.layer)))
