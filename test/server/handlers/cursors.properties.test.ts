import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Effect, Schema } from "effect"
import { Place } from "../../../src/domain/Page.ts"
import { fromCursor, toPageJson } from "../../../src/server/handlers/cursors.ts"
import { anyOf, anyString, between, text } from "../../support/arbitraries.ts"
import { checks } from "../../support/checks.ts"

const place = Arbitrary.map(
  Arbitrary.all([
    between(-62_135_596_800_000, 253_402_300_799_999),
    Arbitrary.array(between(0, 255), { minLength: 16, maxLength: 16 }),
  ]),
  ([milliseconds, bytes]) => {
    const digits = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")
    return new Place({
      createdAt: DateTime.makeUnsafe(milliseconds),
      id: digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
    })
  },
)

const encodeBase64Url = Schema.encodeSync(Schema.StringFromBase64Url)

const cursorOf = (list: string, next: Place) =>
  toPageJson(list, { items: [], next }, (item) => item).nextCursor ?? "none"

describe("cursors", () => {
  it.effect.prop(
    "lead to the place that they were made of",
    [text, place],
    ([list, next]) =>
      Effect.gen(function* () {
        const cursor = cursorOf(list, next)
        assert.match(cursor, /^[\w-]+$/)
        assert.deepStrictEqual(yield* fromCursor(list, cursor), next)
      }),
    checks(200),
  )

  it.effect.prop(
    "of another list are refused",
    [text, text, place],
    ([list, other, next]) =>
      Effect.gen(function* () {
        if (list === other) return
        const error = yield* Effect.flip(fromCursor(other, cursorOf(list, next)))
        assert.strictEqual(error._tag, "InvalidRequest")
      }),
    checks(200),
  )

  it.effect.prop(
    "that nobody was given are refused",
    [
      anyOf(
        anyString,
        Arbitrary.map(anyString, encodeBase64Url),
        Arbitrary.map(text, (after) => encodeBase64Url(JSON.stringify({ list: "users", after }))),
        Arbitrary.map(
          place,
          ({ id }) =>
            encodeBase64Url(JSON.stringify({ list: "users", after: { id, createdAt: 0 } })),
        ),
      ),
    ],
    ([cursor]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(fromCursor("users", cursor))
        assert.deepStrictEqual(error.errors.map(({ path }) => path), ["cursor"])
      }),
    checks(300),
  )
})
