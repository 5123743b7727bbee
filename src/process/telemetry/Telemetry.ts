/**
 * Traces, metrics and logs as somebody who collects them gets them, as OpenTelemetry's variables say.
 */
import {
  ConfigProvider,
  Duration,
  Effect,
  Layer,
  Option,
  Record,
  Redacted,
  References,
  Tracer,
} from "effect"
import { OtlpLogger, OtlpMetrics, OtlpTracer } from "effect/observability"
import denoJson from "../../../deno.json" with { type: "json" }
import type { SettingsShape } from "../../config/Settings.ts"
import type { ExportSettings } from "../../config/telemetry/TelemetrySettings.ts"
import { tracerWithoutWords } from "../../database/traced.ts"
import * as ExportClient from "../ExportClient.ts"
import { sampledTracer } from "./sampler.ts"
import * as Serialization from "./Serialization.ts"

type Settings = Pick<SettingsShape, "telemetry" | "shutdownTimeout" | "threads">

/**
 * Threads export for themselves, and their series must not be taken for one: where a name is given to
 * the process, each adds one of its own.
 */
const instanceId = (given: string | undefined, threads: number) =>
  given === undefined
    ? crypto.randomUUID()
    : threads === 1
    ? given
    : `${given}/${crypto.randomUUID()}`

const resourceOf = ({ telemetry, threads }: Settings) => {
  const { serviceName, resourceAttributes } = telemetry
  const instance = instanceId(resourceAttributes["service.instance.id"], threads)
  return {
    serviceName,
    serviceVersion: resourceAttributes["service.version"] ?? denoJson.version,
    attributes: { ...resourceAttributes, "service.instance.id": instance },
  }
}

/** Spans of the traces that are wanted, and of statements without what the server said in words. */
const tracing = ({ sampler }: SettingsShape["telemetry"]) =>
  Layer.effect(
    Tracer.Tracer,
    Effect.map(Effect.tracer, (tracer) => tracerWithoutWords(sampledTracer(sampler, tracer))),
  )

/** Collects and exports what the settings name; where no traces are exported, none are made. */
export const layer = (settings: Settings) => {
  const { telemetry } = settings
  const exported = Record.getSomes({
    traces: telemetry.traces,
    metrics: telemetry.metrics,
    logs: telemetry.logs,
  })
  const resource = resourceOf(settings)
  const shutdownTimeout = Duration.min(
    Duration.seconds(2),
    Duration.times(settings.shutdownTimeout, 0.2),
  )
  /** What Effect's exporter is to know of a signal; how it is sent is `ExportClient`'s. */
  const optionsOf = ({ url, headers, interval, maxBatchSize }: ExportSettings) => ({
    resource,
    url,
    headers: Redacted.value(headers),
    exportInterval: interval,
    maxBatchSize,
    shutdownTimeout,
  })
  const of = <A>(
    signal: Option.Option<ExportSettings>,
    exporter: (options: ReturnType<typeof optionsOf>) => A,
  ) => Option.toArray(Option.map(signal, (own) => exporter(optionsOf(own))))
  const exporters = [
    ...of(
      telemetry.traces,
      (options) => Layer.provideMerge(tracing(telemetry), OtlpTracer.layer(options)),
    ),
    ...of(
      telemetry.metrics,
      (options) => OtlpMetrics.layer({ ...options, temporality: telemetry.temporality }),
    ),
    ...of(telemetry.logs, OtlpLogger.layer),
  ]
  const [first, ...others] = exporters
  return Layer.mergeAll(
    // A span that nobody collects costs time for nothing.
    Layer.succeed(References.TracerEnabled, Option.isSome(telemetry.traces)),
    first ?? Layer.empty,
    ...others,
  ).pipe(
    Layer.provide(ExportClient.layer(exported)),
    Layer.provide(Serialization.layer(Record.map(exported, ({ protocol }) => protocol), telemetry)),
    // They would read what they are told here once more.
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({}))),
  )
}
