/**
 * The log as lines: each entry's level and message.
 */
import { Context, Effect, Layer, Logger, References } from "effect"

export class LogLines extends Context.Service<LogLines, ReadonlyArray<string>>()(
  "latchkey/test/LogLines",
) {
  static readonly layer = Layer.unwrap(Effect.sync(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message, logLevel }) => {
      const [line] = Array.isArray(message) ? message : [message]
      lines.push(`${logLevel} ${line}`)
    })
    return Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel, "Info"),
      Layer.succeed(LogLines, lines),
    )
  }))
}
