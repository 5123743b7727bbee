import { assert, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { RefreshToken } from "../../../src/domain/RefreshToken.ts"
import { User } from "../../../src/domain/User.ts"
import { nullable } from "../../../src/schema/nullable.ts"
import { strictDecoder } from "../../../src/server/fastPath/strictDecoder.ts"

const options = { errors: "all", onExcessProperty: "error" } as const

const Small = Schema.Struct({
  count: Schema.NumberFromString,
  word: Schema.optionalKey(nullable(Schema.Literals(["a", "b"]))),
  given: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(true))),
})
const Nested = Schema.Struct({ inner: Schema.Struct({ word: Schema.String }) })
const Listed = Schema.Struct({ words: Schema.Array(Schema.Struct({ word: Schema.String })) })
const Open = Schema.Record(Schema.String, Schema.Struct({ word: Schema.String }))

const token = { userId: "6f1c1a52-7f3b-4d0e-9c65-0a4d1f2b7c11", tokenHash: "h" }

const cases: ReadonlyArray<readonly [Schema.Codec<unknown>, ReadonlyArray<unknown>]> = [
  [Small, [
    { count: "1" },
    { count: "1", word: null, given: false },
    { count: "1", word: "c", given: 3 },
    { count: 1, more: 1, other: 2 },
    { count: "1", more: undefined },
    JSON.parse(`{"count":"1","__proto__":{"word":"a"}}`),
    {},
    [],
    null,
    "text",
  ]],
  [Nested, [{ inner: { word: "a" } }, { inner: { word: "a", more: 1 } }, { inner: {}, more: 1 }]],
  [Listed, [{ words: [{ word: "a" }] }, { words: [{ word: "a", more: 1 }, { word: 1 }] }]],
  [Open, [{ a: { word: "a" } }, { a: { word: "a", more: 1 } }]],
  [User.insert, [
    { email: "a@b.co", authProvider: "email" },
    { email: "a", authProvider: "e", isActive: "yes", more: true },
  ]],
  [RefreshToken.insert, [
    { ...token, expiresAt: "2099-01-01T00:00:00Z", ipAddress: "::FFFF:192.0.2.1" },
    { ...token, expiresAt: "2099-02-30T00:00:00Z", ipAddress: "300.0.0.1", userAgent: "" },
  ]],
]

it("is of one mind with a decoder that looks for everything at once", () => {
  for (const [schema, inputs] of cases) {
    const strict = Schema.decodeUnknownResult(schema, options)
    const decode = strictDecoder(schema, options)
    for (const input of inputs) {
      const result = (decoded: ReturnType<typeof strict>) =>
        Result.isSuccess(decoded) ? decoded.success : String(decoded.failure)
      assert.deepStrictEqual(result(decode(input)), result(strict(input)), JSON.stringify(input))
    }
  }
})
