/**
 * Logs, and traces where somebody listens.
 */
import { NodeServices } from "@effect/platform-node"
import { Cause, Console, Effect, Layer, Logger, References } from "effect"
import { loadLogging, Settings } from "../config/Settings.ts"
import { formats, loggers } from "./logFormat.ts"
import { type Explained, sentenceOf } from "./reportFailure.ts"
import * as Telemetry from "./telemetry/Telemetry.ts"

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

/** As `LOG_FORMAT`, `LOG_LEVEL` and OpenTelemetry's variables say. */
export const layer = Layer.unwrap(
  Effect.map(Settings, (settings) => Layer.provideMerge(Telemetry.layer(settings), logging)),
)
