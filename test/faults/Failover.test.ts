import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "./support/Cluster.ts"
import { verify, verifyAnswers } from "./support/Ledger.ts"
import { underLoad, workers } from "./support/Load.ts"
import { make } from "./support/Stage.ts"

it.live("a failover to the synchronous standby loses nothing that was acknowledged", () =>
  Effect.gen(function* () {
    const { primary, standby } = yield* Cluster.makePair
    const { proxy, service, client } = yield* make(primary.connection)
    const report = yield* underLoad(
      { client, ports: () => [service.port], tolerates: "unavailable" },
      ({ untilUnavailable }) =>
        Effect.gen(function* () {
          yield* primary.kill
          yield* untilUnavailable(workers)
          yield* standby.query("SELECT pg_promote()")
          yield* proxy.aim(standby.connection)
        }),
    )
    yield* verify(standby.connection, report)
    yield* verifyAnswers(client, service.port, report)
    assert.isAbove(report.unavailable, 0)
  }))
