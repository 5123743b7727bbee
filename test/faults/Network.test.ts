import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { verify, verifyAnswers } from "./support/Ledger.ts"
import { type Progress, underLoad, workers } from "./support/Load.ts"
import type { Behaviour } from "./support/Proxy.ts"
import { Stage } from "./support/Stage.ts"

/** Runs the load while the network does something else. */
const whileNetwork = <R>(fault: (progress: Progress) => Effect.Effect<void, never, R>) =>
  Effect.gen(function* () {
    const { service, client, connection } = yield* Stage
    const report = yield* underLoad(
      { client, ports: () => [service.port], tolerates: "unavailable" },
      fault,
    )
    yield* verify(connection, report)
    yield* verifyAnswers(client, service.port, report)
    assert.strictEqual(report.lost, 0)
    return report
  })

/** The network is as it is said until it was noticed. */
const behaving = (behaviour: Behaviour, noticed: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const { proxy } = yield* Stage
    yield* proxy.behave(behaviour)
    yield* noticed
    yield* proxy.behave({ _tag: "Pass" })
  })

/** Ten times, with calls that succeed in between. */
const againAndAgain = (fault: Effect.Effect<void>, { untilAcknowledged }: Progress) =>
  Effect.asVoid(Effect.replicateEffect(Effect.andThen(fault, untilAcknowledged(workers)), 10))

layer(Stage.layer(), { excludeTestServices: true })("between service and database", (it) => {
  it.effect("connections that are reset again and again are made anew", () =>
    Effect.gen(function* () {
      const { proxy } = yield* Stage
      yield* whileNetwork((progress) => againAndAgain(proxy.reset, progress))
    }))

  it.effect("connections that are closed from one side are made anew", () =>
    Effect.gen(function* () {
      const { proxy } = yield* Stage
      yield* whileNetwork((progress) => againAndAgain(proxy.halfClose, progress))
    }))

  it.effect("a server that refuses connections is an outage", () =>
    Effect.gen(function* () {
      const { proxy } = yield* Stage
      const report = yield* whileNetwork(({ untilUnavailable }) =>
        Effect.andThen(
          proxy.reset,
          behaving({ _tag: "Reset" }, untilUnavailable(2 * workers)),
        )
      )
      assert.isAbove(report.unavailable, 0)
    }))
})

// What is swallowed is noticed by these limits alone: it lasts until every call has been answered.
const short = { STATEMENT_TIMEOUT: "1s", LOCK_TIMEOUT: "500ms", ANSWER_TIMEOUT: "3s" }
layer(Stage.layer(short), { excludeTestServices: true })(
  "between a service that waits briefly and its database",
  (it) => {
    it.effect("a network that swallows everything is an outage, and nothing of it stays", () =>
      Effect.gen(function* () {
        const report = yield* whileNetwork(({ untilUnavailable }) =>
          behaving({ _tag: "Blackhole" }, untilUnavailable(2 * workers))
        )
        assert.isAbove(report.unavailable, 0)
      }))
  },
)

const long = { STATEMENT_TIMEOUT: "5m", LOCK_TIMEOUT: "5m", ANSWER_TIMEOUT: "5m" }
layer(Stage.layer(long), { excludeTestServices: true })(
  "between a service that waits long and its database",
  (it) => {
    it.effect("a slow network makes answers late, not wrong", () =>
      Effect.gen(function* () {
        const report = yield* whileNetwork(({ untilAcknowledged }) =>
          behaving({ _tag: "Delay", millis: 100 }, untilAcknowledged(10 * workers))
        )
        assert.strictEqual(report.unavailable, 0)
      }))
  },
)
