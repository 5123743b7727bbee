import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Queue } from "effect"
import * as Bulkhead from "../../src/database/Bulkhead.ts"
import { makeLongRead } from "../../src/database/longRead.ts"

interface Begun {
  readonly name: string
  readonly end: (answer: number) => Effect.Effect<unknown>
}

/** Reads that end as the test says, one at a time. */
const reads = Effect.gen(function* () {
  const begun = yield* Queue.unbounded<Begun>()
  const ended: Array<string> = []
  const read = yield* makeLongRead(({ name }: { readonly name: string }) =>
    Effect.gen(function* () {
      const answer = yield* Deferred.make<number>()
      yield* Queue.offer(begun, { name, end: (value) => Deferred.succeed(answer, value) })
      return yield* Effect.onInterrupt(
        Deferred.await(answer),
        () => Effect.sync(() => ended.push(name)),
      )
    })
  ).pipe(Effect.provideService(Bulkhead.Bulkhead, Bulkhead.make(4, Duration.infinity)))
  const call = (name: string) => Effect.forkChild(read({ name }), { startImmediately: true })
  return { call, next: Queue.take(begun), unseen: Queue.size(begun), ended }
})

describe("a read of very many rows", () => {
  it.effect("is shared by equal calls that wait for it, and by none that comes later", () =>
    Effect.gen(function* () {
      const { call, next, unseen } = yield* reads
      const first = yield* call("a")
      const one = yield* next
      const later = [yield* call("a"), yield* call("a"), yield* call("a")]
      assert.strictEqual(yield* unseen, 0)
      yield* one.end(1)
      assert.strictEqual(yield* Fiber.join(first), 1)
      yield* (yield* next).end(2)
      assert.deepStrictEqual(yield* Fiber.joinAll(later), [2, 2, 2])
      assert.strictEqual(yield* unseen, 0)
    }))

  it.effect("has others that differ take turns", () =>
    Effect.gen(function* () {
      const { call, next } = yield* reads
      yield* call("a")
      const one = yield* next
      yield* Effect.forEach(["a", "b", "c"], call)
      yield* one.end(1)
      const names: Array<string> = []
      for (let index = 0; index < 3; index++) {
        const { name, end } = yield* next
        names.push(name)
        yield* end(index)
      }
      assert.deepStrictEqual(names.sort(), ["a", "b", "c"])
    }))

  it.effect("is ended when the last of its callers has gone, and is begun for none", () =>
    Effect.gen(function* () {
      const { call, next, ended } = yield* reads
      const first = yield* call("a")
      yield* next
      const waiting = [yield* call("a"), yield* call("a")]
      const other = yield* call("b")
      yield* Fiber.interruptAll(waiting)
      assert.deepStrictEqual(ended, [])
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(ended, ["a"])
      const last = yield* next
      assert.strictEqual(last.name, "b")
      yield* last.end(3)
      assert.strictEqual(yield* Fiber.join(other), 3)
    }))

  it.effect("goes on while one of its callers is there", () =>
    Effect.gen(function* () {
      const { call, next, ended } = yield* reads
      const first = yield* call("a")
      const one = yield* next
      const [two, three] = [yield* call("a"), yield* call("a")]
      yield* one.end(1)
      yield* Fiber.join(first)
      const shared = yield* next
      yield* Fiber.interrupt(two)
      assert.deepStrictEqual(ended, [])
      yield* shared.end(2)
      assert.strictEqual(yield* Fiber.join(three), 2)
    }))

  it.effect("fails for all who share it, and is not kept", () =>
    Effect.gen(function* () {
      let calls = 0
      const read = yield* makeLongRead((_: { readonly name: string }) =>
        Effect.suspend(() => Effect.fail(++calls))
      )
      assert.strictEqual(yield* Effect.flip(read({ name: "a" })), 1)
      assert.strictEqual(yield* Effect.flip(read({ name: "a" })), 2)
    }))
})
