/**
 * A service whose telemetry goes to a collector, as variables say.
 */
import { NodeServices } from "@effect/platform-node"
import { ConfigProvider, Effect, Layer, Metric } from "effect"
import { load } from "../../src/config/Settings.ts"
import * as Telemetry from "../../src/process/telemetry/Telemetry.ts"
import * as Collector from "./Collector.ts"
import { TestDatabase } from "./TestDatabase.ts"
import { serviceOnDatabase } from "./TestService.ts"

const settingsOf = (environment: Record<string, string>) =>
  load(ConfigProvider.fromEnvRecord(environment)).pipe(Effect.provide(NodeServices.layer))

/** Collects and exports what an effect tells of itself, until it has ended. */
export const exporting = (environment: Record<string, string>) =>
  Layer.unwrap(Effect.map(settingsOf(environment), Telemetry.layer)).pipe(
    Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
  )

type Service = Layer.Success<ReturnType<typeof serviceOnDatabase>>

/** Made when the database and the service start, and when they are gone. */
const ofStart = [
  "DatabaseUrl.parse",
  "Database.connect",
  "MigrationDirectory.read",
  "CREATE",
  "DROP",
]

const isOfRequest = ({ name }: { readonly name: string }) => !ofStart.includes(name)

/**
 * Runs a program against a traced service on a database of its own, and gives what the collector has
 * when both have ended.
 */
export const collected = Effect.fnUntraced(function* <A, E>(
  program: Effect.Effect<A, E, Layer.Success<typeof TestDatabase.layerRepositories> | Service>,
  environment: Record<string, string> = {},
) {
  const collector = yield* Collector.make()
  const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...environment }
  const { telemetry } = yield* settingsOf(settings)
  const result = yield* program.pipe(
    Effect.provide(
      serviceOnDatabase({ propagators: telemetry.propagators }).pipe(
        Layer.provideMerge(TestDatabase.layerRepositories),
        Layer.provideMerge(exporting(settings)),
      ),
    ),
  )
  const { received, headers, paths } = collector
  return { ...received, spans: received.spans.filter(isOfRequest), headers, paths, result }
}, Effect.scoped)
