/**
 * All that the service says about its work: log lines in every format, and spans.
 */
import { Cause, Context, Effect, Exit, Layer, Logger, References, Tracer } from "effect"

const describe = (span: Tracer.Span) =>
  [
    span.name,
    JSON.stringify([...span.attributes], (_, value) =>
      typeof value === "bigint" ? String(value) : value),
    span.status._tag === "Ended" && Exit.isFailure(span.status.exit)
      // As exporters print it, with what each error was caused by and whatever else it has.
      ? Cause.prettyErrors(span.status.exit.cause, { includeCauseInStack: true })
        .map((error) =>
          `${error.stack} ${Deno.inspect(error, { depth: 20 })}`
        ).join("\n")
      : "",
  ].join(" ")

export class CapturedTelemetry extends Context.Service<CapturedTelemetry, {
  readonly logs: Effect.Effect<string>
  readonly spans: Effect.Effect<string>
}>()("latchkey/test/CapturedTelemetry") {
  static readonly layer = Layer.unwrap(
    Effect.sync(() => {
      const lines: Array<string> = []
      const spans: Array<Tracer.Span> = []
      const capture = <Output>(logger: Logger.Logger<unknown, Output>) =>
        Logger.map(logger, (output) => {
          lines.push(Deno.inspect(output, { depth: 20, strAbbreviateSize: 100_000 }))
        })
      return Layer.mergeAll(
        Logger.layer([
          capture(Logger.formatJson),
          capture(Logger.formatLogFmt),
          capture(Logger.formatStructured),
        ]),
        Layer.succeed(References.MinimumLogLevel, "All"),
        Layer.succeed(
          Tracer.Tracer,
          Tracer.make({
            span: (options) => {
              const span = new Tracer.NativeSpan(options)
              spans.push(span)
              return span
            },
          }),
        ),
        Layer.succeed(CapturedTelemetry, {
          logs: Effect.sync(() => lines.join("\n")),
          spans: Effect.sync(() => spans.map(describe).join("\n")),
        }),
      )
    }),
  )
}
