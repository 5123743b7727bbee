import { assert, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { verify, verifyAnswers } from "./support/Ledger.ts"
import { underLoad } from "./support/Load.ts"
import { Stage } from "./support/Stage.ts"
import type { Behaviour } from "./support/Proxy.ts"

const answerTimeout = 3_000

/** Runs the load while the network does something else. */
const whileNetwork = <R>(fault: Effect.Effect<void, never, R>) =>
  Effect.gen(function* () {
    const { service, client, connection } = yield* Stage
    const report = yield* underLoad(
      { client, ports: () => [service.port], tolerates: "unavailable" },
      fault,
    )
    yield* verify(connection, report)
    yield* verifyAnswers(client, service.port, report)
    assert.strictEqual(report.lost, 0)
    assert.isBelow(report.slowest, answerTimeout + 1_000)
    assert.isBelow(report.recovery, 5_000)
    return report
  })

const behaving = (behaviour: Behaviour, millis: number) =>
  Effect.gen(function* () {
    const { proxy } = yield* Stage
    yield* proxy.behave(behaviour)
    yield* Effect.sleep(millis)
    yield* proxy.behave({ _tag: "Pass" })
  })

const stage = Stage.layer({
  STATEMENT_TIMEOUT: "1s",
  LOCK_TIMEOUT: "500ms",
  ANSWER_TIMEOUT: `${answerTimeout}ms`,
})
layer(stage, { excludeTestServices: true })("between service and database", (it) => {
  it.effect("a slow network makes answers late, not wrong", () =>
    Effect.gen(function* () {
      const report = yield* whileNetwork(behaving({ _tag: "Delay", millis: 100 }, 2_000))
      assert.strictEqual(report.unavailable, 0)
    }))

  it.effect("a network that swallows everything is an outage, and nothing of it stays", () =>
    Effect.gen(function* () {
      const report = yield* whileNetwork(behaving({ _tag: "Blackhole" }, 5_000))
      assert.isAbove(report.unavailable, 0)
    }))

  it.effect("connections that are reset again and again are made anew", () =>
    Effect.gen(function* () {
      const { proxy } = yield* Stage
      yield* whileNetwork(
        Effect.asVoid(
          Effect.repeat(proxy.reset, { times: 10, schedule: Schedule.spaced("50 millis") }),
        ),
      )
    }))

  it.effect("connections that are closed from one side are made anew", () =>
    Effect.gen(function* () {
      const { proxy } = yield* Stage
      yield* whileNetwork(
        Effect.asVoid(
          Effect.repeat(proxy.halfClose, { times: 10, schedule: Schedule.spaced("50 millis") }),
        ),
      )
    }))

  it.effect("a server that refuses connections is an outage", () =>
    Effect.gen(function* () {
      const { proxy } = yield* Stage
      const report = yield* whileNetwork(
        Effect.andThen(proxy.reset, behaving({ _tag: "Reset" }, 1_000)),
      )
      assert.isAbove(report.unavailable, 0)
    }))
})
