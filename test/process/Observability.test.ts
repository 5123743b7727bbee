import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { createServer } from "node:http"
import { ConfigProvider, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Settings from "../../src/config/Settings.ts"
import * as Observability from "../../src/process/Observability.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** An OpenTelemetry collector; gives its address and what it was sent. */
const makeCollector = Effect.gen(function* () {
  const received: Array<string> = []
  const server = createServer((request, response) => {
    const chunks: Array<Uint8Array> = []
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk))
    request.on("end", () => {
      received.push(`${request.url} ${Buffer.concat(chunks)}`)
      response.end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      }),
  )
  const address = server.address()
  assert(typeof address === "object" && address !== null)
  return { url: `http://127.0.0.1:${address.port}`, received }
})

layer(TestDatabase.layerClient, { excludeTestServices: true })("exported spans", (it) => {
  it.effect("of any failed statement have its SQLSTATE, and nothing that the server said", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { url, received } = yield* makeCollector
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
      const traces = received.filter((request) => request.startsWith("/v1/traces")).join("\n")
      assert.include(traces, "P0001")
      // The statement's own text is ours to tell.
      assert.notInclude(
        traces.replaceAll(/RAISE EXCEPTION 'Hidden' USING HINT = 'Hidden'/g, ""),
        "Hidden",
      )
    }).pipe(Effect.scoped))
})
