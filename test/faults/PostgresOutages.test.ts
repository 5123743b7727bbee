import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Cluster from "./support/Cluster.ts"
import { verify, verifyAnswers } from "./support/Ledger.ts"
import { underLoad, workers } from "./support/Load.ts"
import { make, type StageShape } from "./support/Stage.ts"

class OwnServer extends Context.Service<
  OwnServer,
  StageShape & {
    readonly cluster: Cluster.Cluster
  }
>()("latchkey/test/faults/OwnServer") {
  static readonly layer = Layer.effect(
    OwnServer,
    Effect.gen(function* () {
      const cluster = yield* Cluster.make
      return { cluster, ...(yield* make(cluster.connection)) }
    }),
  )
}

layer(OwnServer.layer, { excludeTestServices: true })("the service under load", (it) => {
  it.effect("loses nothing and comes back when PostgreSQL is killed", () =>
    Effect.gen(function* () {
      const { cluster, service, client } = yield* OwnServer
      const report = yield* underLoad(
        { client, ports: () => [service.port], tolerates: "unavailable" },
        ({ untilUnavailable }) =>
          cluster.kill.pipe(
            Effect.andThen(untilUnavailable(workers)),
            Effect.andThen(cluster.restart),
          ),
      )
      yield* verify(cluster.connection, report)
      yield* verifyAnswers(client, service.port, report)
      assert.isAbove(report.unavailable, 0)
      assert.strictEqual(report.lost, 0)
    }))

  it.effect("loses nothing when all sessions are terminated again and again", () =>
    Effect.gen(function* () {
      const { cluster, service, client } = yield* OwnServer
      const terminate = cluster.query(`
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE application_name = 'latchkey' AND pid <> pg_backend_pid()`)
      const report = yield* underLoad(
        { client, ports: () => [service.port], tolerates: "unavailable" },
        ({ untilAcknowledged }) =>
          Effect.asVoid(
            Effect.replicateEffect(Effect.andThen(terminate, untilAcknowledged(workers)), 10),
          ),
      )
      yield* verify(cluster.connection, report)
      yield* verifyAnswers(client, service.port, report)
      assert.strictEqual(report.lost, 0)
    }))
})
