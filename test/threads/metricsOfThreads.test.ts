import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import { afterAll } from "vitest"
import { Metrics } from "../../src/operations/Metrics.ts"
import { metricsOfThreads } from "../../src/threads/metricsOfThreads.ts"
import { LogLines } from "../support/LogLines.ts"

// Deno 2.9.6 may lose a channel that is opened while the last one is being closed; this is never that.
const other = new BroadcastChannel("latchkey/test/other")
afterAll(() => other.close())

/** A thread that counts for itself. */
const thread = (index: number, count: number) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      metricsOfThreads(index, count).pipe(
        Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
      ),
    )
    const { format } = yield* Effect.provideContext(Metrics, context)
    return {
      format,
      add: (number: number) =>
        Effect.provideContext(Metric.update(Metric.counter("things_total"), number), context),
    }
  })

/**
 * Waits for so many reports to whoever asks for them from now on. Its channel is the newest one: when it
 * hears of a report, all others have.
 */
const reports = (count: number) =>
  Effect.callback<void>((resume) => {
    const channel = new BroadcastChannel("latchkey/metrics")
    let left = count
    channel.addEventListener("message", ({ data }) => {
      if ("answerTo" in data && --left === 0) resume(Effect.sync(() => channel.close()))
    })
    return Effect.sync(() => channel.close())
  })

/** What a thread says when the time to report is over, and so many have. */
const formatAfter = Effect.fnUntraced(function* (count: number, format: Effect.Effect<string>) {
  const reported = yield* Effect.forkChild(reports(count), { startImmediately: true })
  const formatting = yield* Effect.forkChild(format, { startImmediately: true })
  yield* Fiber.join(reported)
  yield* TestClock.adjust("1 second")
  return yield* Fiber.join(formatting)
})

const value = (text: string, name: string) =>
  Number(new RegExp(`^latchkey_${name} (\\d+)$`, "m").exec(text)?.[1])

it.effect("metricsOfThreads adds up what all have counted, and says how many have", () =>
  Effect.gen(function* () {
    const threads = [yield* thread(0, 3), yield* thread(1, 3), yield* thread(2, 3)]
    yield* Effect.forEach(threads, ({ add }, index) => add(10 ** index))
    for (const { format } of threads) {
      const text = yield* format
      assert.strictEqual(value(text, "things_total"), 111)
      assert.strictEqual(value(text, "threads"), 3)
      assert.strictEqual(value(text, "threads_reporting"), 3)
    }
  }).pipe(Effect.scoped, Effect.provide(LogLines.layer)))

it.effect("metricsOfThreads counts a silent thread as it last was, says so once, and when it is back", () =>
  Effect.gen(function* () {
    const lines = yield* LogLines
    const first = yield* thread(0, 3)
    const second = yield* thread(1, 3)
    yield* first.add(1)
    yield* second.add(10)
    yield* Effect.scoped(Effect.gen(function* () {
      const third = yield* thread(2, 3)
      yield* third.add(100)
      // Any thread hears of the report that another one has asked for.
      yield* second.format
    }))
    for (const [thread, total] of [[first, 112], [second, 113], [first, 114]] as const) {
      yield* first.add(1)
      const text = yield* formatAfter(1, thread.format)
      assert.strictEqual(value(text, "things_total"), total)
      assert.strictEqual(value(text, "threads_reporting"), 2)
    }
    const missing = "Error The metrics of some threads are not up to date: " +
      "no report within 1000 ms from thread 3"
    assert.deepStrictEqual(lines, [missing, missing])
    yield* thread(2, 3)
    yield* first.format
    assert.deepStrictEqual(
      lines.slice(2),
      ["Info The metrics of all threads are up to date again"],
    )
  }).pipe(Effect.scoped, Effect.provide(LogLines.layer)))
