import { assert, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { makeChangeLog } from "../../src/background/ChangeLog.ts"
import { LogLines } from "../support/LogLines.ts"

const failed = (message: string) => Exit.fail({ message })

it.effect("ChangeLog says once what parts share, and that they work when all of them do", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const { note } = makeChangeLog({ failing: "No", recovered: "Yes" })
    yield* note("a", Exit.void)
    yield* note("a", failed("gone"))
    yield* note("b", failed("gone"))
    yield* note("b", failed("full"))
    yield* note("a", failed("gone"))
    yield* note("a", Exit.void)
    yield* note("a", Exit.void)
    assert.deepStrictEqual(lines, ["Error No: gone", "Error No: full"])
    yield* note("b", Exit.void)
    yield* note("b", Exit.void)
    assert.deepStrictEqual(lines.slice(2), ["Info Yes"])
  }).pipe(Effect.provide(LogLines.layer)))

it.effect("ChangeLog does not wait for a part that has had nothing to do for a minute", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const { note } = makeChangeLog({ failing: "No", recovered: "Yes" })
    yield* note("often", failed("gone"))
    yield* note("rare", failed("gone"))
    yield* note("often", Exit.void)
    yield* TestClock.adjust("1 minute")
    yield* note("often", Exit.void)
    assert.deepStrictEqual(lines, ["Error No: gone"])
    yield* TestClock.adjust("1 second")
    yield* note("often", Exit.void)
    assert.deepStrictEqual(lines.slice(1), ["Info Yes"])
  }).pipe(Effect.provide(LogLines.layer)))

it.effect("ChangeLog never says that all is well while one part fails again and again", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const { note } = makeChangeLog({ failing: "No", recovered: "Yes" })
    for (let round = 0; round < 20; round++) {
      yield* note("a", Exit.void)
      yield* note("b", failed("404"))
      yield* TestClock.adjust("10 seconds")
    }
    assert.deepStrictEqual(lines, ["Error No: 404"])
  }).pipe(Effect.provide(LogLines.layer)))
