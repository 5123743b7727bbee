import { assert, it } from "@effect/vitest"
import { Clock, Data, Duration, Effect, Layer, Metric, Ref, Schedule } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import { Fatal } from "../../src/background/Fatal.ts"
import { runPeriodically } from "../../src/background/runPeriodically.ts"
import { LogLines } from "../support/LogLines.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

/** What each test observes: its own metrics, its own log, its own end. */
const Observed = Layer.mergeAll(
  LogLines.layer,
  Fatal.layer,
  Layer.sync(Metric.MetricRegistry, () => new Map()),
)

const task = <E>(run: Effect.Effect<unknown, E>) => ({
  name: "sweep",
  failing: "The sweep failed",
  recovered: "The sweep works again",
  firstAfter: Duration.seconds(1),
  schedule: Schedule.spaced("10 seconds"),
  run,
})

const series = (name: string) =>
  Effect.map(
    PrometheusMetrics.format(),
    (text) => new RegExp(`^background_task_${name}\\{task="sweep"\\} (\\d+)$`, "m").exec(text)?.[1],
  )

it.effect("runPeriodically goes on after failures, defects and interruptions, and logs changes only", () =>
  Effect.gen(function* () {
    const outcome = yield* Ref.make<Effect.Effect<void, Refused>>(Effect.void)
    const entries = yield* LogLines
    const round = Effect.fnUntraced(function* (next: Effect.Effect<void, Refused>) {
      yield* Ref.set(outcome, next)
      yield* TestClock.adjust("10 seconds")
    })
    yield* runPeriodically(task(Effect.flatten(Ref.get(outcome))))
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual([yield* series("runs_total"), yield* series("failures_total")], [
      "1",
      "0",
    ])

    yield* round(new Refused({ message: "no" }))
    yield* round(new Refused({ message: "no" }))
    yield* round(Effect.die(new Error("a bug")))
    yield* round(Effect.die(new Error("a bug")))
    yield* round(Effect.interrupt)
    const before = yield* series("last_success_timestamp_seconds")
    yield* round(Effect.void)
    yield* round(Effect.void)
    yield* round(new Refused({ message: "no" }))

    assert.deepStrictEqual(entries, [
      "Error The sweep failed: no",
      "Error The sweep failed: a bug",
      "Error The sweep failed: it was interrupted",
      "Info The sweep works again",
      "Error The sweep failed: no",
    ])
    assert.strictEqual(yield* series("runs_total"), "9")
    assert.strictEqual(yield* series("failures_total"), "6")
    assert.strictEqual(before, "1")
    assert.strictEqual(yield* series("last_success_timestamp_seconds"), "71")
  }).pipe(Effect.scoped, Effect.provide(Observed)))

it.effect("runPeriodically waits for a run that takes longer than its interval", () =>
  Effect.gen(function* () {
    let running = 0
    let most = 0
    let runs = 0
    yield* runPeriodically(task(Effect.gen(function* () {
      most = Math.max(most, ++running)
      yield* Effect.sleep("35 seconds")
      running--
      runs++
    })))
    yield* TestClock.adjust("100 seconds")
    assert.deepStrictEqual({ most, runs }, { most: 1, runs: 2 })
  }).pipe(Effect.scoped, Effect.provide(Observed)))

it.effect("runPeriodically interrupts a run when its scope closes, and calls that no failure", () =>
  Effect.gen(function* () {
    const entries = yield* LogLines
    let interrupted = false
    yield* Effect.scoped(Effect.gen(function* () {
      yield* runPeriodically(task(Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        }))))
      yield* TestClock.adjust("2 seconds")
    }))
    assert.isTrue(interrupted)
    assert.deepStrictEqual(entries, [])
    const { failed } = yield* Fatal
    assert.isUndefined(yield* Effect.raceFirst(failed, Effect.yieldNow))
  }).pipe(Effect.provide(Observed)))

it.effect("runPeriodically ends the service when its schedule ends or breaks", () =>
  Effect.gen(function* () {
    const { failed } = yield* Fatal
    yield* runPeriodically({ ...task(Effect.void), schedule: Schedule.recurs(1) })
    yield* TestClock.adjust("2 seconds")
    const { message } = yield* Effect.flip(failed)
    assert.strictEqual(message, `The background task "sweep" has ended.`)
  }).pipe(Effect.scoped, Effect.provide(Observed)))

it.effect("runPeriodically ends the service when it cannot wait for its next run", () =>
  Effect.gen(function* () {
    const { failed } = yield* Fatal
    const clock = yield* Clock.Clock
    yield* runPeriodically(task(Effect.void)).pipe(
      Effect.provideService(Clock.Clock, {
        ...clock,
        sleep: () => Effect.die(new Error("no timers")),
      }),
    )
    const { message } = yield* Effect.flip(failed)
    assert.strictEqual(message, `The background task "sweep" has ended: no timers.`)
  }).pipe(Effect.scoped, Effect.provide(Observed)))
