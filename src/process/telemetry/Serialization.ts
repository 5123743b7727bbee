/**
 * How what Effect collects becomes the bodies of exports.
 */
import { Layer } from "effect"
import { Context, Effect } from "effect"
import { OtlpSerialization } from "effect/observability"
import type { ExportSettings, TelemetrySettings } from "../../config/telemetry/TelemetrySettings.ts"
import { type Exported, noted } from "../ExportClient.ts"
import { conventionalMetrics, makeConventionalLogs, makeConventionalTraces } from "./conventions.ts"

const encodings = {
  "http/json": OtlpSerialization.layerJson,
  "http/protobuf": OtlpSerialization.layerProtobuf,
}

type Protocol = ExportSettings["protocol"]

const makeEncode = (protocol: Protocol = "http/json") =>
  Effect.map(
    Layer.build(encodings[protocol]),
    (context) => Context.get(context, OtlpSerialization.OtlpSerialization),
  )

/** Each signal in its own encoding, by the conventions and within the limits. */
export const layer = (
  protocols: Exported<Protocol>,
  { spanLimits, logLimits }: Pick<TelemetrySettings, "spanLimits" | "logLimits">,
) =>
  Layer.effect(
    OtlpSerialization.OtlpSerialization,
    Effect.gen(function* () {
      const { traces } = yield* makeEncode(protocols.traces)
      const { metrics } = yield* makeEncode(protocols.metrics)
      const { logs } = yield* makeEncode(protocols.logs)
      const conventionalTraces = makeConventionalTraces(spanLimits)
      const conventionalLogs = makeConventionalLogs(logLimits)
      return OtlpSerialization.OtlpSerialization.of({
        traces: (data) => {
          const scopes = data.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans)
          return noted(traces(conventionalTraces(data)), "traces", scopes.map(({ spans }) => spans))
        },
        metrics: (data) => {
          const scopes = data.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)
          return noted(
            metrics(conventionalMetrics(data)),
            "metrics",
            scopes.map(({ metrics }) => metrics),
          )
        },
        logs: (data) => {
          const scopes = data.resourceLogs.flatMap(({ scopeLogs }) => scopeLogs)
          return noted(
            logs(conventionalLogs(data)),
            "logs",
            scopes.map(({ logRecords = [] }) => logRecords),
          )
        },
      })
    }),
  )
