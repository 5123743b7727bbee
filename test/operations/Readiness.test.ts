import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Readiness, type Unready } from "../../src/operations/Readiness.ts"
import { LogLines } from "../support/LogLines.ts"

const build = (check: Effect.Effect<unknown, Unready>) =>
  Effect.map(Layer.build(Readiness.layer(check)), Context.get(Readiness))

it.effect("Readiness: tells each change once, and nothing while all is well", () =>
  Effect.gen(function* () {
    let unready: Unready | null = null
    const { check } = yield* build(
      Effect.suspend(() => unready === null ? Effect.void : Effect.fail(unready)),
    )
    yield* check
    unready = { reason: "rights-missing", message: "It lacks a right." }
    assert.deepStrictEqual(yield* Effect.flip(check), unready)
    yield* Effect.flip(check)
    unready = { reason: "database-read-only", message: "It is read-only." }
    yield* Effect.flip(check)
    yield* Effect.flip(check)
    unready = null
    yield* check
    yield* check
    assert.deepStrictEqual(yield* LogLines, [
      "Warn Not ready (rights-missing): It lacks a right.",
      "Warn Not ready (database-read-only): It is read-only.",
      "Info Ready again",
    ])
  }).pipe(Effect.provide(LogLines.layer)))

it.effect("Readiness: looks once for all who ask meanwhile, also when the first hangs up", () =>
  Effect.gen(function* () {
    let looks = 0
    const looking = yield* Deferred.make<void>()
    const answer = yield* Deferred.make<void>()
    const { check } = yield* build(Effect.suspend(() => {
      looks++
      return Effect.andThen(Deferred.succeed(looking, undefined), Deferred.await(answer))
    }))
    const first = yield* Effect.forkChild(check)
    yield* Deferred.await(looking)
    const others = yield* Effect.forkChild(Effect.all([check, check], { concurrency: "unbounded" }))
    yield* Effect.yieldNow
    yield* Fiber.interrupt(first)
    yield* Deferred.succeed(answer, undefined)
    yield* Fiber.join(others)
    assert.strictEqual(looks, 1)
    yield* check
    assert.strictEqual(looks, 2)
  }))

it.effect("Readiness: a database that does not answer within two seconds is unreachable", () =>
  Effect.gen(function* () {
    const { check } = yield* build(Effect.never)
    const checking = yield* Effect.forkChild(Effect.flip(check))
    yield* Effect.yieldNow
    yield* TestClock.adjust("2 seconds")
    assert.strictEqual((yield* Fiber.join(checking)).reason, "database-unreachable")
  }))

it.effect("Readiness: a service that stops is not ready, whatever the database says", () =>
  Effect.gen(function* () {
    const { check, stop } = yield* build(Effect.void)
    yield* check
    yield* stop
    assert.strictEqual((yield* Effect.flip(check)).reason, "stopping")
  }))
