/**
 * Logs, and traces where somebody listens.
 */
import { NodeServices } from "@effect/platform-node"
import { Cause, Console, Duration, Effect, Layer, Logger, Option, References, Tracer } from "effect"
import { Otlp } from "effect/observability"
import { loadLogging, Settings } from "../config/Settings.ts"
import { tracerWithoutWords } from "../database/traced.ts"
import * as ExportClient from "./ExportClient.ts"
import { formats, loggers } from "./logFormat.ts"
import { type Explained, sentenceOf } from "./reportFailure.ts"

/** As `LOG_FORMAT` and `LOG_LEVEL` say, whatever else may be wrong with the environment. */
export const logging = Layer.unwrap(
  Effect.map(loadLogging, ({ logFormat, logLevel }) =>
    Layer.merge(
      Logger.layer([loggers[logFormat]]),
      Layer.succeed(References.MinimumLogLevel, logLevel),
    )),
).pipe(Layer.provide(NodeServices.layer))

/**
 * Says on stderr why the process ends, in the format of the log. A defect's stack is for developers:
 * once the service has `started` it is always shown, before that with `LOG_LEVEL=debug` only.
 */
export const reportEnd = Effect.fnUntraced(
  function* (cause: Cause.Cause<Explained>, { started }: { readonly started: boolean }) {
    const sentence = sentenceOf(cause)
    if (sentence === undefined) return
    const { logFormat, logLevel } = yield* loadLogging
    const isVerbose = ["All", "Trace", "Debug"].includes(logLevel)
    const details = isVerbose || (started && Cause.hasDies(cause)) ? [cause] : []
    const hint = Cause.hasDies(cause) && details.length === 0
      ? `${sentence} LOG_LEVEL=debug shows where.`
      : sentence
    if (logFormat === "pretty") {
      yield* Console.error([hint, ...details.map((cause) => Cause.pretty(cause))].join("\n"))
      return
    }
    yield* Effect.logFatal(hint, ...details).pipe(
      Effect.provide(Logger.layer([Logger.withConsoleError(formats[logFormat])])),
      // Also for those who want to hear nothing of what it does.
      Effect.provideService(References.MinimumLogLevel, "All"),
    )
  },
  Effect.provide(NodeServices.layer),
)

/**
 * Writes an entry to the terminal or the file that the log goes to, whatever `LOG_LEVEL` is, and
 * nowhere else: it may hold what must not be exported.
 */
export const announce = (message: string): Effect.Effect<void> =>
  Effect.flatMap(loadLogging, ({ logFormat }) =>
    Effect.logInfo(message).pipe(
      Effect.provide(Logger.layer([loggers[logFormat]])),
      Effect.provideService(References.MinimumLogLevel, "All"),
    )).pipe(Effect.provide(NodeServices.layer))

/** Spans of statements that no repository makes, without the server's words as well. */
const withoutWords = Layer.effect(Tracer.Tracer, Effect.map(Effect.tracer, tracerWithoutWords))

/** As `LOG_FORMAT`, `LOG_LEVEL` and `OTEL_EXPORTER_OTLP_ENDPOINT` say. */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const { otlpEndpoint, shutdownTimeout } = yield* Settings
    return Option.match(otlpEndpoint, {
      // A span that nobody collects costs time for nothing.
      onNone: () => Layer.merge(logging, Layer.succeed(References.TracerEnabled, false)),
      onSome: (url) =>
        Layer.provideMerge(
          withoutWords,
          Otlp.layer({
            shutdownTimeout: Duration.min(
              Duration.seconds(2),
              Duration.times(shutdownTimeout, 0.2),
            ),
            baseUrl: url.href.replace(/\/$/, ""),
            // Threads export for themselves, and their series must not be taken for one.
            resource: {
              serviceName: "latchkey",
              attributes: { "service.instance.id": crypto.randomUUID() },
            },
          }).pipe(Layer.provide(ExportClient.layer()), Layer.provideMerge(logging)),
        ),
    })
  }),
)
