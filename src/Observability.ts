/**
 * Logs, and traces where somebody listens.
 */
import { Effect, Layer, Logger, Option, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Settings } from "./Settings.ts"

const loggers = {
  json: Logger.consoleJson,
  logfmt: Logger.consoleLogFmt,
  pretty: Logger.consolePretty(),
}

/** As `LOG_FORMAT`, `LOG_LEVEL` and `OTEL_EXPORTER_OTLP_ENDPOINT` say. */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const { logFormat, logLevel, otlpEndpoint } = yield* Settings
    const logging = Logger.layer([loggers[logFormat]]).pipe(
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, logLevel)),
    )
    return Option.match(otlpEndpoint, {
      // A span that nobody collects costs time for nothing.
      onNone: () => Layer.merge(logging, Layer.succeed(References.TracerEnabled, false)),
      onSome: (url) =>
        Otlp.layerJson({
          baseUrl: url.href.replace(/\/$/, ""),
          // Threads export for themselves, and their series must not be taken for one.
          resource: {
            serviceName: "latchkey",
            attributes: { "service.instance.id": crypto.randomUUID() },
          },
        }).pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(logging)),
    })
  }),
)
