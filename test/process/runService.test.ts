import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Program from "../support/Program.ts"

const start = (script: string, variables: Record<string, string> = {}) =>
  Program.start(["run", "-A", "test/support/scriptedService.ts", script], {
    LOG_FORMAT: "json",
    // What should end by itself does so long before this; what should not, fails for it.
    SHUTDOWN_TIMEOUT: "1h",
    ...variables,
  })

const Entry = Schema.fromJsonString(Schema.Struct({
  level: Schema.String,
  message: Schema.String,
  cause: Schema.optionalKey(Schema.String),
}))

const entriesOf = (output: string) =>
  output.trim().split("\n").map((line) => Schema.decodeUnknownSync(Entry)(line))

/** The entry about the end; it is on stderr, so its place among the others is left to chance. */
const lastWords = (output: string) =>
  entriesOf(output).filter(({ level }) => level === "FATAL").at(-1)

const hasStack = /\bat .*scriptedService\.ts:\d+/

describe("runService told to stop", () => {
  it.live.each(["SIGTERM", "SIGINT"] as const)(
    "closes the service and exits with 0: %s",
    (name) =>
      Effect.scoped(Effect.gen(function* () {
        const service = yield* start("stops in order")
        yield* service.said(/started/)
        yield* service.signal(name)
        const { code, output } = yield* service.ended
        assert.strictEqual(code, 0)
        assert.match(output, /closed\n$/)
      })),
  )

  it.live("takes a signal that follows at once for an echo of the first", () =>
    Effect.scoped(Effect.gen(function* () {
      const service = yield* start("stops in order")
      yield* service.said(/started/)
      yield* service.signal("SIGTERM")
      yield* service.signal("SIGTERM")
      yield* service.signal("SIGINT")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.match(output, /closed\n$/)
    })))

  it.live.each([["SIGTERM", 143], ["SIGINT", 130]] as const)(
    "ends at once at another signal, as the signal would have ended it: %s",
    ([name, expected]) =>
      Effect.scoped(Effect.gen(function* () {
        const service = yield* start("hangs while it closes")
        yield* service.said(/started/)
        yield* service.signal("SIGTERM")
        yield* service.said(/closing/)
        const { code } = yield* Effect.raceFirst(
          service.ended,
          Effect.forever(Effect.delay(service.signal(name), "100 millis")),
        )
        assert.strictEqual(code, expected)
      })),
  )

  it.live("exits with 0 when its time is over, whatever hangs, and says so", () =>
    Effect.scoped(Effect.gen(function* () {
      const service = yield* start("hangs while it closes", { SHUTDOWN_TIMEOUT: "300ms" })
      yield* service.said(/started/)
      yield* service.signal("SIGTERM")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(entriesOf(output).at(-1), {
        level: "WARN",
        message: "Shutdown timed out; terminating",
      })
    })))

  it.live("exits with 0 while it starts", () =>
    Effect.scoped(Effect.gen(function* () {
      const service = yield* start("waits while it starts")
      yield* service.said(/starting/)
      yield* service.signal("SIGTERM")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.notInclude(output, "timed out")
    })))

  it.live("exits with 0 while it starts, where that cannot be interrupted, when its time is over", () =>
    Effect.scoped(Effect.gen(function* () {
      const service = yield* start("hangs while it starts", { SHUTDOWN_TIMEOUT: "300ms" })
      yield* service.said(/starting/)
      yield* service.signal("SIGTERM")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.include(output, "timed out")
    })))

  it.live("exits with 1 when closing it breaks, and says where", () =>
    Effect.scoped(Effect.gen(function* () {
      const service = yield* start("breaks while it closes")
      yield* service.said(/started/)
      yield* service.signal("SIGTERM")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 1)
      const last = lastWords(output)
      assert.strictEqual(last?.message, "Unexpected error (Error): boom.")
      assert.match(last?.cause ?? "", hasStack)
    })))
})

describe("runService of a service that cannot go on", () => {
  it.live("closes the rest of it, says why, and exits with 1", () =>
    Effect.scoped(Effect.gen(function* () {
      const { code, output } = yield* Effect.flatMap(
        start("has a part that ends"),
        ({ ended }) => ended,
      )
      assert.strictEqual(code, 1)
      assert.include(output, "closed\n")
      assert.deepStrictEqual(lastWords(output.replace("closed\n", "")), {
        level: "FATAL",
        message: "A part has ended.",
      })
    })))

  it.live("exits with 1 when closing the rest takes too long, too", () =>
    Effect.scoped(Effect.gen(function* () {
      const { code } = yield* Effect.flatMap(
        start("has a part that ends, and hangs while it closes", { SHUTDOWN_TIMEOUT: "300ms" }),
        ({ ended }) => ended,
      )
      assert.strictEqual(code, 1)
    })))

  it.live("exits with 1 after an error that nobody has caught, and says where that was", () =>
    Effect.scoped(Effect.gen(function* () {
      const { code, output } = yield* Effect.flatMap(
        start("throws past it once it runs"),
        ({ ended }) => ended,
      )
      assert.strictEqual(code, 1)
      const last = lastWords(output)
      assert.strictEqual(last?.message, "Unexpected error (Error): boom.")
      assert.match(last?.cause ?? "", hasStack)
    })))
})

describe("runService of a service that cannot start", () => {
  const unexpected = "Unexpected error (Error): boom. LOG_LEVEL=debug shows where."
  it.live.each(
    [
      ["fails while it starts", "The start has failed."],
      ["breaks while it starts", unexpected],
      ["throws past it while it starts", unexpected],
      ["rejects past it while it starts", unexpected],
    ] as const,
  )(
    "says why in one entry without a stack, and exits with 1: it %s",
    ([script, message]) =>
      Effect.scoped(Effect.gen(function* () {
        const { code, output } = yield* Effect.flatMap(start(script), ({ ended }) => ended)
        assert.strictEqual(code, 1)
        assert.deepStrictEqual(
          entriesOf(output).filter((entry) => entry.message !== "starting"),
          [{ level: "FATAL", message }],
        )
      })),
  )

  it.live.each(
    [
      ["json", /"level":"FATAL"[^]*scriptedService\.ts:\d+/],
      [
        "logfmt",
        /level=FATAL [^]*message="Unexpected error \(Error\): boom\." [^]*scriptedService\.ts:\d+/,
      ],
      ["pretty", /^Unexpected error \(Error\): boom\.$[^]*scriptedService\.ts:\d+/m],
    ] as const,
  )(
    "shows the stack with LOG_LEVEL=debug, LOG_FORMAT=%s",
    ([format, expected]) =>
      Effect.scoped(Effect.gen(function* () {
        const { code, output } = yield* Effect.flatMap(
          start("breaks while it starts", { LOG_LEVEL: "debug", LOG_FORMAT: format }),
          ({ ended }) => ended,
        )
        assert.strictEqual(code, 1)
        assert.match(output, expected)
      })),
  )

  it.live.each(
    [
      [
        { LOG_FORMAT: "json" },
        /^\{"timestamp":"[^"]*","level":"FATAL","message":"PORT must be [^"]*"\}\n$/,
      ],
      [
        { LOG_FORMAT: "logfmt", LOG_LEVEL: "none" },
        /^timestamp=\S+ level=FATAL .*message="PORT must be .*"\n$/,
      ],
      [{ LOG_FORMAT: "pretty" }, /^PORT must be a port in digits, 0 to 65535\.\n$/],
      [
        { LOG_FORMAT: "xml" },
        /^\{"timestamp":"[^"]*","level":"FATAL","message":"PORT must be .*\\nLOG_FORMAT must be [^"]*"\}\n$/,
      ],
    ] as const,
  )(
    "says what is wrong with the environment in the format of the log: %j",
    ([variables, expected]) =>
      Effect.scoped(Effect.gen(function* () {
        const { code, output } = yield* Effect.flatMap(
          start("stops in order", { PORT: "http", ...variables }),
          ({ ended }) => ended,
        )
        assert.strictEqual(code, 1)
        assert.match(output, expected)
      })),
  )
})
