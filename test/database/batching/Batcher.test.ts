import { assert, layer, vi } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Queue } from "effect"
import { SqlClient } from "effect/sql"
import * as Batcher from "../../../src/database/batching/Batcher.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** A statement that was sent, and lasts until it is told how it ends. */
interface Sent {
  readonly kind: "alone" | "together"
  readonly calls: ReadonlyArray<number>
  readonly end: (exit: Exit.Exit<ReadonlyArray<Option.Option<string>>, string>) => Effect.Effect<
    boolean
  >
}

/** Milliseconds in which a statement that takes long no longer holds up others. */
const patience = 50

/** Milliseconds in which a few calls no longer wait for more of their kind. */
const moment = 25

const answerTo = (call: number) => `answer to ${call}`

const succeed = ({ calls, end }: Sent) =>
  end(Exit.succeed(calls.map((call) => Option.some(answerTo(call)))))

/** Keeps the batcher's timers from ending by themselves: how long a call waits is for the test to say. */
const heldTimers = Effect.acquireRelease(
  Effect.sync(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
  () => Effect.sync(() => void vi.useRealTimers()),
)

/** A batcher whose statements end as the test says; no other has calls, unless it says that too. */
const makeBatcherOf = Effect.fnUntraced(function* (reads: boolean) {
  yield* heldTimers
  const load = { calls: 0 }
  const sql = yield* SqlClient.SqlClient
  const sent = yield* Queue.unbounded<Sent>()
  const interrupted: Array<number> = []

  const send = Effect.fnUntraced(function* (kind: Sent["kind"], calls: ReadonlyArray<number>) {
    const ended = yield* Deferred.make<ReadonlyArray<Option.Option<string>>, string>()
    yield* Queue.offer(sent, { kind, calls, end: (exit) => Deferred.done(ended, exit) })
    return yield* Effect.onInterrupt(
      Deferred.await(ended),
      () => Effect.sync(() => interrupted.push(...calls)),
    )
  })

  const batched = yield* Batcher.make({
    sql,
    name: "numbers",
    reads,
    single: (call: number) =>
      Effect.map(send("alone", [call]), ([answer]) => Option.getOrThrow(answer ?? Option.none())),
    batch: (calls) =>
      Effect.map(
        send("together", calls),
        (answers) =>
          answers.map((answer) =>
            Option.isSome(answer) ? Batcher.done(answer.value) : Batcher.undone
          ),
      ),
    decode: Effect.succeed,
  }).pipe(Effect.provideService(Batcher.Load, load))

  const call = (number: number) => Effect.forkChild(batched(number), { startImmediately: true })

  return {
    batched,
    call,
    /** Makes the calls at once, in this order. */
    callEach: (numbers: ReadonlyArray<number>) => Effect.forEach(numbers, call),
    /** The next statement, as soon as it has been sent. */
    next: Queue.take(sent),
    /** The statement that is sent in so many milliseconds, though none ends. */
    sentIn: Effect.fnUntraced(function* (millis: number) {
      vi.advanceTimersByTime(millis)
      assert.strictEqual(yield* Queue.size(sent), 1)
      return yield* Queue.take(sent)
    }),
    /** How many statements have been sent that the test has not looked at. */
    unseen: Queue.size(sent),
    interrupted,
    load,
  }
})

const makeBatcher = makeBatcherOf(false)

/** A batcher that a call is under way of, with the number 1. */
const makeBusyBatcherOf = Effect.fnUntraced(function* (reads: boolean) {
  const batcher = yield* makeBatcherOf(reads)
  const one = yield* batcher.call(1)
  return { ...batcher, one, underWay: yield* batcher.next }
})

const makeBusyBatcher = makeBusyBatcherOf(false)

const assertSent = (statement: Sent, kind: Sent["kind"], calls: ReadonlyArray<number>) =>
  assert.deepStrictEqual([statement.kind, statement.calls], [kind, calls])

layer(TestDatabase.layerClient, { excludeTestServices: true })("a batcher", (it) => {
  it.effect("sends a call that meets no other at once and alone", () =>
    Effect.gen(function* () {
      const { call, next, unseen } = yield* makeBatcher
      for (const number of [1, 2]) {
        const fiber = yield* call(number)
        const statement = yield* next
        assertSent(statement, "alone", [number])
        yield* succeed(statement)
        assert.strictEqual(yield* Fiber.join(fiber), answerTo(number))
      }
      assert.strictEqual(yield* unseen, 0)
    }))

  it.effect("sends the calls that arrive meanwhile together, in their order", () =>
    Effect.gen(function* () {
      const { callEach, next, one, underWay, unseen } = yield* makeBusyBatcher
      const others = yield* callEach([4, 2, 3, 2])
      assert.strictEqual(yield* unseen, 0)
      assertSent(underWay, "alone", [1])
      yield* succeed(underWay)
      const batch = yield* next
      assertSent(batch, "together", [4, 2, 3, 2])
      yield* succeed(batch)
      assert.strictEqual(yield* Fiber.join(one), answerTo(1))
      assert.deepStrictEqual(yield* Fiber.joinAll(others), [4, 2, 3, 2].map(answerTo))
    }))

  it.effect("gives each call the outcome at its own place", () =>
    Effect.gen(function* () {
      const { callEach, next, underWay } = yield* makeBusyBatcher
      const calls = yield* callEach([2, 2, 2])
      yield* succeed(underWay)
      yield* (yield* next).end(Exit.succeed(["a", "b", "c"].map(Option.some)))
      assert.deepStrictEqual(yield* Fiber.joinAll(calls), ["a", "b", "c"])
    }))

  it.effect("sends a single call that waited as it is", () =>
    Effect.gen(function* () {
      const { call, next, underWay } = yield* makeBusyBatcher
      const two = yield* call(2)
      yield* succeed(underWay)
      const statement = yield* next
      assertSent(statement, "alone", [2])
      yield* succeed(statement)
      assert.strictEqual(yield* Fiber.join(two), answerTo(2))
    }))

  it.effect("collects the next batch while one is under way, and is idle after the last", () =>
    Effect.gen(function* () {
      const { call, callEach, next, underWay, unseen } = yield* makeBusyBatcher
      yield* callEach([2, 3])
      yield* succeed(underWay)
      const second = yield* next
      const later = yield* callEach([4, 5])
      yield* succeed(second)
      const third = yield* next
      assertSent(third, "together", [4, 5])
      yield* succeed(third)
      yield* Fiber.joinAll(later)

      yield* call(6)
      assert.strictEqual(yield* unseen, 1)
      assertSent(yield* next, "alone", [6])
    }))

  it.effect("lets nobody wait longer than for the statement before", () =>
    Effect.gen(function* () {
      const { call, next } = yield* makeBatcher
      // No timer ends here: whoever waited for one would wait for good.
      for (let number = 0; number < 200; number += 2) {
        const first = yield* call(number)
        const underWay = yield* next
        const second = yield* call(number + 1)
        yield* succeed(underWay)
        yield* succeed(yield* next)
        assert.deepStrictEqual(
          yield* Fiber.joinAll([first, second]),
          [number, number + 1].map(answerTo),
        )
      }
    }))

  it.effect("carries out alone what a batch gave no outcome for", () =>
    Effect.gen(function* () {
      const { call, next, underWay } = yield* makeBusyBatcher
      const [two, three, four] = [yield* call(2), yield* call(3), yield* call(4)]
      yield* succeed(underWay)
      yield* (yield* next).end(Exit.succeed([Option.none(), Option.some("three")]))
      const [left, beyond] = [yield* next, yield* next]
      assertSent(left, "alone", [2])
      assertSent(beyond, "alone", [4])
      yield* left.end(Exit.fail("two is refused"))
      yield* succeed(beyond)
      assert.strictEqual(yield* Effect.flip(Fiber.join(two)), "two is refused")
      assert.strictEqual(yield* Fiber.join(three), "three")
      assert.strictEqual(yield* Fiber.join(four), answerTo(4))
    }))

  it.effect.each(
    [["failure", Exit.fail("broken")], ["defect", Exit.die("broken")]] as const,
  )(
    "lets the %s of a batch reach each of its calls, and no other",
    ([, failure]) =>
      Effect.gen(function* () {
        const { call, callEach, next, one, underWay } = yield* makeBusyBatcher
        const calls = yield* callEach([2, 3])
        yield* succeed(underWay)
        const batch = yield* next
        const later = yield* call(4)
        yield* batch.end(failure)
        for (const fiber of calls) {
          const exit = yield* Fiber.await(fiber)
          assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "broken")
        }
        yield* succeed(yield* next)
        assert.strictEqual(yield* Fiber.join(one), answerTo(1))
        assert.strictEqual(yield* Fiber.join(later), answerTo(4))
      }),
  )

  it.effect("goes on after a call alone has failed", () =>
    Effect.gen(function* () {
      const { callEach, next, one, underWay } = yield* makeBusyBatcher
      const others = yield* callEach([2, 3])
      yield* underWay.end(Exit.fail("refused"))
      yield* succeed(yield* next)
      assert.strictEqual(yield* Effect.flip(Fiber.join(one)), "refused")
      assert.deepStrictEqual(yield* Fiber.joinAll(others), [2, 3].map(answerTo))
    }))

  it.effect("never sends a call that was interrupted while it waited", () =>
    Effect.gen(function* () {
      const { call, next, underWay, unseen } = yield* makeBusyBatcher
      const [two, three, four] = [yield* call(2), yield* call(3), yield* call(4)]
      yield* Fiber.interrupt(three)
      yield* succeed(underWay)
      const batch = yield* next
      assertSent(batch, "together", [2, 4])
      yield* succeed(batch)
      assert.deepStrictEqual(yield* Fiber.joinAll([two, four]), [2, 4].map(answerTo))
      assert.strictEqual(yield* unseen, 0)
    }))

  it.effect("carries a batch of writes out, though all of its callers have gone", () =>
    Effect.gen(function* () {
      const { callEach, call, interrupted, load, next, underWay } = yield* makeBusyBatcher
      const calls = yield* callEach([2, 3])
      yield* succeed(underWay)
      const batch = yield* next
      yield* Effect.forEach(calls, Fiber.interrupt)
      assert.deepStrictEqual(interrupted, [])
      assert.strictEqual(load.calls, 2)
      yield* succeed(batch)
      yield* call(4)
      assertSent(yield* next, "alone", [4])
    }))

  it.effect("carries a batch of reads out for as long as one of its callers is there", () =>
    Effect.gen(function* () {
      const { call, interrupted, next, underWay } = yield* makeBusyBatcherOf(true)
      const [two, three, four] = [yield* call(2), yield* call(3), yield* call(4)]
      yield* succeed(underWay)
      const batch = yield* next
      assertSent(batch, "together", [2, 3, 4])
      yield* Fiber.interrupt(two)
      yield* Fiber.interrupt(four)
      assert.deepStrictEqual(interrupted, [])
      yield* succeed(batch)
      assert.strictEqual(yield* Fiber.join(three), answerTo(3))
    }))

  it.effect("ends a batch of reads when the last of its callers has gone, and goes on", () =>
    Effect.gen(function* () {
      const { call, callEach, interrupted, load, next, underWay } = yield* makeBusyBatcherOf(true)
      const calls = yield* callEach([2, 3])
      yield* succeed(underWay)
      assertSent(yield* next, "together", [2, 3])
      const later = yield* callEach([4, 5])
      yield* Effect.forEach(calls, Fiber.interrupt)
      assert.deepStrictEqual(interrupted, [2, 3])
      const batch = yield* next
      assertSent(batch, "together", [4, 5])
      yield* succeed(batch)
      assert.deepStrictEqual(yield* Fiber.joinAll(later), [4, 5].map(answerTo))
      assert.strictEqual(load.calls, 0)
      yield* call(6)
      assertSent(yield* next, "alone", [6])
    }))

  it.effect("makes the calls of a batch of reads one by one where a row spoils it", () =>
    Effect.gen(function* () {
      const { callEach, next, underWay } = yield* makeBusyBatcherOf(true)
      const calls = yield* callEach([2, 3])
      yield* succeed(underWay)
      const batch = yield* next
      assertSent(batch, "together", [2, 3])
      yield* batch.end(Exit.die("a strange row"))
      const [two, three] = [yield* next, yield* next]
      assertSent(two, "alone", [2])
      assertSent(three, "alone", [3])
      yield* two.end(Exit.die("a strange row"))
      yield* succeed(three)
      assert.isTrue(Exit.hasDies(yield* Fiber.await(calls[0] ?? assert.fail("A call"))))
      assert.strictEqual(yield* Fiber.join(calls[1] ?? assert.fail("A call")), answerTo(3))
    }))

  it.effect("ends a read that waited and was sent alone when its caller has gone", () =>
    Effect.gen(function* () {
      const { call, interrupted, load, next, underWay } = yield* makeBusyBatcherOf(true)
      const two = yield* call(2)
      yield* succeed(underWay)
      assertSent(yield* next, "alone", [2])
      yield* Fiber.interrupt(two)
      assert.deepStrictEqual(interrupted, [2])
      assert.strictEqual(load.calls, 0)
    }))

  it.effect("sends those that wait when the call they wait for is interrupted", () =>
    Effect.gen(function* () {
      const { callEach, next, one } = yield* makeBusyBatcher
      yield* callEach([2, 3])
      yield* Fiber.interrupt(one)
      assertSent(yield* next, "together", [2, 3])
    }))

  it.effect("lets a statement that takes long hold up no others", () =>
    Effect.gen(function* () {
      const { call, callEach, next, one, sentIn, underWay } = yield* makeBusyBatcher
      const calls = yield* callEach([2, 3])
      const second = yield* sentIn(patience)
      assertSent(second, "together", [2, 3])
      const later = yield* callEach([4, 5])
      const third = yield* sentIn(patience)
      assertSent(third, "together", [4, 5])
      // They end in another order than they began in.
      for (const statement of [third, underWay, second]) yield* succeed(statement)
      assert.deepStrictEqual(
        yield* Fiber.joinAll([one, ...calls, ...later]),
        [1, 2, 3, 4, 5].map(answerTo),
      )
      yield* call(6)
      assertSent(yield* next, "alone", [6])
    }))

  it.effect("sends half of all calls at most, so that it works on the other half meanwhile", () =>
    Effect.gen(function* () {
      const { callEach, next, underWay, unseen } = yield* makeBusyBatcher
      const numbers = Array.from({ length: 40 }, (_, index) => index + 2)
      yield* callEach(numbers)
      yield* succeed(underWay)
      const first = yield* next
      assertSent(first, "together", numbers.slice(0, 21))
      assert.strictEqual(yield* unseen, 0)
      yield* succeed(first)
      assertSent(yield* next, "together", numbers.slice(21))
    }))

  it.effect("does not divide a few calls", () =>
    Effect.gen(function* () {
      const { callEach, next, underWay } = yield* makeBusyBatcher
      yield* callEach([2, 3, 4, 5, 6, 7, 8, 9])
      yield* succeed(underWay)
      assertSent(yield* next, "together", [2, 3, 4, 5, 6, 7, 8, 9])
    }))

  it.effect("sends more calls than a batch holds in several, each call once", () =>
    Effect.gen(function* () {
      const { callEach, next, underWay } = yield* makeBusyBatcher
      const numbers = Array.from({ length: 1_000 }, (_, index) => index + 2)
      const calls = yield* callEach(numbers)
      yield* succeed(underWay)
      const sent: Array<number> = []
      let batches = 0
      while (sent.length < numbers.length) {
        const batch = yield* next
        sent.push(...batch.calls)
        batches++
        yield* succeed(batch)
      }
      assert.deepStrictEqual(sent, numbers)
      assert.isAbove(batches, 1)
      assert.isBelow(batches, 100)
      assert.deepStrictEqual(yield* Fiber.joinAll(calls), numbers.map(answerTo))
    }))

  it.effect("sends the rest of many calls though no statement ends", () =>
    Effect.gen(function* () {
      const { callEach, sentIn } = yield* makeBusyBatcher
      const numbers = Array.from({ length: 300 }, (_, index) => index + 2)
      yield* callEach(numbers)
      const sent: Array<number> = []
      while (sent.length < numbers.length) sent.push(...(yield* sentIn(patience)).calls)
      assert.deepStrictEqual(sent, numbers)
    }))

  it.effect("lets a few calls wait for more of their kind while others have much to do", () =>
    Effect.gen(function* () {
      const { callEach, load, sentIn, unseen } = yield* makeBatcher
      load.calls = 18
      const calls = yield* callEach([1, 2, 3])
      assert.strictEqual(yield* unseen, 0)
      calls.push(...yield* callEach([4]))
      const batch = yield* sentIn(moment)
      assertSent(batch, "together", [1, 2, 3, 4])
      const later = yield* callEach([5])
      yield* succeed(batch)
      assert.deepStrictEqual(yield* Fiber.joinAll(calls), [1, 2, 3, 4].map(answerTo))
      assert.strictEqual(yield* unseen, 0)
      const last = yield* sentIn(moment)
      assertSent(last, "alone", [5])
      yield* succeed(last)
      yield* Fiber.joinAll(later)
      assert.strictEqual(load.calls, 18)
    }))

  it.effect("lets a call that meets no other of its kind wait for a moment only", () =>
    Effect.gen(function* () {
      const { call, load, sentIn } = yield* makeBatcher
      load.calls = 1_000
      for (let number = 0; number < 50; number++) {
        const fiber = yield* call(number)
        const statement = yield* sentIn(moment)
        assertSent(statement, "alone", [number])
        yield* succeed(statement)
        assert.strictEqual(yield* Fiber.join(fiber), answerTo(number))
      }
    }))

  it.effect("counts every call out, however it ends", () =>
    Effect.gen(function* () {
      const { call, callEach, load, next, one, underWay } = yield* makeBusyBatcher
      const others = yield* callEach([2, 3, 4])
      assert.strictEqual(load.calls, 4)
      const [two] = others
      if (two !== undefined) yield* Fiber.interrupt(two)
      assert.strictEqual(load.calls, 3)
      yield* underWay.end(Exit.fail("refused"))
      yield* Fiber.await(one)
      assert.strictEqual(load.calls, 2)
      yield* (yield* next).end(Exit.die("broken"))
      yield* Fiber.awaitAll(others)
      assert.strictEqual(load.calls, 0)
      const last = yield* call(5)
      yield* next
      yield* Fiber.interrupt(last)
      assert.strictEqual(load.calls, 0)
    }))

  it.effect("leaves the calls of a transaction in it, each as a statement of its own", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const isInside = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)
      const batched = yield* Batcher.make({
        sql,
        name: "transactions",
        reads: false,
        single: (call: number) => Effect.map(isInside, (inside) => ({ call, inside })),
        batch: () => Effect.die("A call has left its transaction"),
        decode: Effect.die,
      })
      const answers = yield* Effect.forEach([1, 2, 3], batched, { concurrency: "unbounded" }).pipe(
        sql.withTransaction,
      )
      assert.deepStrictEqual(answers, [1, 2, 3].map((call) => ({ call, inside: true })))
      assert.deepStrictEqual(yield* batched(4), { call: 4, inside: false })
    }))

  it.effect("lets a transaction wait for nothing that others have under way", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { batched, next, one, underWay } = yield* makeBusyBatcher
      const inside = yield* Effect.forkChild(
        sql.withTransaction(Effect.forEach([2, 3], batched, { concurrency: "unbounded" })),
      )
      for (const call of [2, 3]) {
        const statement = yield* next
        assertSent(statement, "alone", [call])
        yield* succeed(statement)
      }
      assert.deepStrictEqual(yield* Fiber.join(inside), [2, 3].map(answerTo))
      yield* succeed(underWay)
      assert.strictEqual(yield* Fiber.join(one), answerTo(1))
    }))
})
