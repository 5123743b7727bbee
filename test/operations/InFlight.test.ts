import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Queue, Scope } from "effect"
import { DatabaseUnavailable, Overloaded } from "../../src/api/problems.ts"
import { InFlight, type InFlightOptions } from "../../src/operations/InFlight.ts"

const inFlightWith = (options: Partial<InFlightOptions> = {}) =>
  InFlight.layer({
    maxInFlight: 2,
    deadline: Duration.minutes(1),
    timeToStop: Effect.succeed(Duration.minutes(1)),
    ...options,
  })

/** Work that ends when it is told to, and what it was answered with. */
const makeWork = Effect.gen(function* () {
  const { start } = yield* InFlight
  const done = yield* Deferred.make<string, string>()
  const answers = yield* Queue.unbounded<
    Exit.Exit<string, string | DatabaseUnavailable | Overloaded>
  >()
  const begin = (
    effect: Effect.Effect<string, string> = Deferred.await(done),
    { isLong = false, caller }: { readonly isLong?: boolean; readonly caller?: object } = {},
  ) =>
    Effect.sync(() =>
      start({
        isLong,
        effect,
        caller,
        answer: (exit) => Queue.offerUnsafe(answers, exit),
      })
    )
  return {
    begin,
    /** How the work ends, unless it was begun as other work. */
    ending: Deferred.await(done),
    end: (exit: Exit.Exit<string, string>) => Deferred.done(done, exit),
    answer: Queue.take(answers),
    unseen: Queue.size(answers),
  }
})

const isFull = InFlight.use(({ isFull }) => Effect.sync(isFull))

const assertLate = (exit: Exit.Exit<unknown, unknown>) =>
  assert.isTrue(
    Exit.isFailure(exit) && exit.cause.reasons.every((reason) =>
      reason._tag === "Fail" && reason.error instanceof DatabaseUnavailable
    ),
    String(exit),
  )

// On the real clock, as deadlines are.
describe("work in flight", () => {
  it.live("is counted until it ends, well or not, and answered once with how it ended", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* makeWork, yield* makeWork]
      yield* first.begin()
      assert.isFalse(yield* isFull)
      yield* second.begin()
      assert.isTrue(yield* isFull)
      yield* first.end(Exit.succeed("well"))
      assert.deepStrictEqual(yield* first.answer, Exit.succeed("well"))
      assert.isFalse(yield* isFull)
      yield* first.begin(Effect.fail("at once"))
      assert.deepStrictEqual(yield* first.answer, Exit.fail("at once"))
      assert.isFalse(yield* isFull)
      yield* second.end(Exit.fail("not well"))
      assert.deepStrictEqual(yield* second.answer, Exit.fail("not well"))
      assert.strictEqual((yield* first.unseen) + (yield* second.unseen), 0)
    }).pipe(Effect.provide(inFlightWith())))

  it.live("beyond the bound is not begun, and answered as overload", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* makeWork, yield* makeWork]
      yield* first.begin()
      assert.isUndefined(yield* second.begin(Effect.die("begun")))
      assert.deepStrictEqual(yield* second.answer, Exit.fail(new Overloaded({})))
      yield* first.end(Exit.succeed("well"))
      assert.deepStrictEqual(yield* first.answer, Exit.succeed("well"))
    }).pipe(Effect.provide(inFlightWith({ maxInFlight: 1 }))))

  it.live("for a caller who is gone ends unanswered, and no other does", () =>
    Effect.gen(function* () {
      const { abandon } = yield* InFlight
      const [gone, there, write] = [yield* makeWork, yield* makeWork, yield* makeWork]
      const caller = {}
      const fiber = yield* gone.begin(undefined, { caller })
      yield* there.begin(undefined, { caller: {} })
      yield* write.begin()
      abandon(caller)
      assert.isDefined(fiber)
      if (fiber !== undefined) assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      for (const work of [there, write]) {
        yield* work.end(Exit.succeed("well"))
        assert.deepStrictEqual(yield* work.answer, Exit.succeed("well"))
      }
      assert.strictEqual(yield* gone.unseen, 0)
    }).pipe(Effect.provide(inFlightWith({ maxInFlight: 3 }))))

  it.live("is given up at its deadline, and answered for then and never again", () =>
    Effect.gen(function* () {
      const { begin, answer, unseen } = yield* makeWork
      const interrupted = yield* Deferred.make<void>()
      yield* begin(Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)))
      assertLate(yield* answer)
      yield* Deferred.await(interrupted)
      assert.isFalse(yield* isFull)
      assert.strictEqual(yield* unseen, 0)
    }).pipe(Effect.provide(inFlightWith({ maxInFlight: 1, deadline: Duration.millis(50) }))))

  it.live("that takes its time to end after its deadline counts until then", () =>
    Effect.gen(function* () {
      const { begin, end, ending, answer, unseen } = yield* makeWork
      const fiber = yield* begin(Effect.uninterruptible(ending))
      assertLate(yield* answer)
      assert.isTrue(yield* isFull)
      yield* end(Exit.succeed("late"))
      assert.isDefined(fiber)
      if (fiber !== undefined) yield* Fiber.await(fiber)
      assert.isFalse(yield* isFull)
      assert.strictEqual(yield* unseen, 0)
    }).pipe(Effect.provide(inFlightWith({ maxInFlight: 1, deadline: Duration.millis(50) }))))

  it.live("that no deadline fits has none", () =>
    Effect.gen(function* () {
      const [long, short] = [yield* makeWork, yield* makeWork]
      yield* long.begin(undefined, { isLong: true })
      yield* short.begin()
      assertLate(yield* short.answer)
      assert.strictEqual(yield* long.unseen, 0)
      yield* long.end(Exit.succeed("at last"))
      assert.deepStrictEqual(yield* long.answer, Exit.succeed("at last"))
    }).pipe(Effect.provide(inFlightWith({ deadline: Duration.millis(50) }))))

  it.live("holds a stop up until it has ended", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(inFlightWith(), scope)
      const { begin, end, answer } = yield* Effect.provideContext(makeWork, services)
      yield* begin()
      const stop = yield* Effect.forkChild(Scope.close(scope, Exit.void), {
        startImmediately: true,
      })
      assert.isUndefined(stop.pollUnsafe())
      yield* end(Exit.succeed("in time"))
      yield* Fiber.join(stop)
      assert.deepStrictEqual(yield* answer, Exit.succeed("in time"))
    }))

  it.live("holds a stop up for no longer than there is time", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const timeToStop = Effect.succeed(Duration.millis(50))
      const services = yield* Layer.buildWithScope(inFlightWith({ timeToStop }), scope)
      const { begin, end, answer, unseen } = yield* Effect.provideContext(makeWork, services)
      yield* begin()
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* unseen, 0)
      yield* end(Exit.succeed("too late"))
      yield* answer
    }))
})
