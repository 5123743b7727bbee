import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Logger } from "effect"
import { formats } from "../../src/process/logFormat.ts"

/** What an effect logs, as lines. */
const linesOf = Effect.fnUntraced(function* (
  logger: Logger.Logger<unknown, string>,
  effect: Effect.Effect<void>,
) {
  const lines: Array<string> = []
  const captured = Logger.map(logger, (line) => void lines.push(line))
  yield* Effect.provide(effect, Logger.layer([captured]))
  return lines
})

const entries = Effect.gen(function* () {
  yield* Effect.logInfo("plain")
  yield* Effect.logWarning("two words", 3, { a: 1 }).pipe(
    Effect.annotateLogs({
      count: 2,
      isOdd: false,
      none: undefined,
      empty: "",
      "message": "hidden",
    }),
  )
  yield* Effect.logError("broken", Cause.die(new Error("line one\nline two")))
})

const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

describe("log lines", () => {
  it.effect("in JSON are flat objects whose message is text and whose fields have values", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(formats.json, entries)
      const [first, second, third, ...more] = lines.map((line) => JSON.parse(line))
      assert.lengthOf(more, 0)
      assert.match(first.timestamp, timestamp)
      assert.deepStrictEqual(first, {
        timestamp: first.timestamp,
        level: "INFO",
        message: "plain",
      })
      assert.deepStrictEqual(second, {
        timestamp: second.timestamp,
        level: "WARN",
        message: 'two words 3 {"a":1}',
        count: 2,
        isOdd: false,
      })
      assert.strictEqual(third.message, "broken")
      assert.include(third.cause, "line one\nline two")
      assert.isTrue(lines.every((line) => !line.includes("\n")))
    }))

  it.effect("in logfmt have the same fields, quoted where they must be", () =>
    Effect.gen(function* () {
      const [first = "", second = "", third = ""] = yield* linesOf(formats.logfmt, entries)
      assert.match(first, /^timestamp=\S+Z level=INFO message=plain$/)
      assert.include(
        second,
        String.raw` level=WARN message="two words 3 {\"a\":1}" count=2 isOdd=false`,
      )
      assert.notInclude(third, "\n")
    }))

  it.effect("name the span that they belong to", () =>
    Effect.gen(function* () {
      const [line = ""] = yield* linesOf(
        formats.json,
        Effect.withSpan(Effect.logInfo("traced"), "span"),
      )
      assert.match(JSON.parse(line).traceId, /^[0-9a-f]{32}$/)
      assert.match(JSON.parse(line).spanId, /^[0-9a-f]{16}$/)
    }))
})
