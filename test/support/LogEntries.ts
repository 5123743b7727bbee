/**
 * The log as its entries, each with its fields as JSON has them.
 */
import { Context, Effect, Layer, Logger, References } from "effect"
import { formats } from "../../src/process/logFormat.ts"

export type LogEntry = Readonly<Record<string, unknown>>

export class LogEntries extends Context.Service<LogEntries, ReadonlyArray<LogEntry>>()(
  "latchkey/test/LogEntries",
) {
  static readonly layer = Layer.unwrap(Effect.sync(() => {
    const entries: Array<LogEntry> = []
    const logger = Logger.map(formats.json, (line) => void entries.push(JSON.parse(line)))
    return Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel, "Info"),
      Layer.succeed(LogEntries, entries),
    )
  }))
}
