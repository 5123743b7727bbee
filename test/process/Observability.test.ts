import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Settings from "../../src/config/Settings.ts"
import * as Observability from "../../src/process/Observability.ts"
import * as Collector from "../support/Collector.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

layer(TestDatabase.layerClient, { excludeTestServices: true })("exported spans", (it) => {
  it.effect("of any failed statement have its SQLSTATE, and nothing that the server said", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { url, received } = yield* Collector.make()
      const settings = yield* Settings.load(
        ConfigProvider.fromEnvRecord({ OTEL_EXPORTER_OTLP_ENDPOINT: url }),
      ).pipe(Effect.provide(NodeServices.layer))
      // What was collected is sent at the latest when the layer's scope closes.
      yield* Effect.exit(sql`DO $$ BEGIN RAISE EXCEPTION 'Hidden' USING HINT = 'Hidden'; END $$`)
        .pipe(
          Effect.provide(
            Observability.layer.pipe(Layer.provide(Layer.succeed(Settings.Settings, settings))),
          ),
        )
      const traces = JSON.stringify(received.spans)
      assert.include(traces, "P0001")
      // The statement's own text is ours to tell.
      assert.notInclude(
        traces.replaceAll(/RAISE EXCEPTION 'Hidden' USING HINT = 'Hidden'/g, ""),
        "Hidden",
      )
    }).pipe(Effect.scoped))
})
