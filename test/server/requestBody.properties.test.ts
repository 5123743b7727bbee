import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option, Result } from "effect"
import { decodeUtf8 } from "../../src/server/requestBody.ts"
import { anyOf, between, oneOf } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"

/** Bytes at the edges of what may follow what in UTF-8: overlong forms, surrogates, too much. */
const edges = oneOf(
  ...[0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbb, 0xbd, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf],
  ...[0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xfe, 0xff],
)

const bytes = Arbitrary.map(
  Arbitrary.array(anyOf(edges, edges, between(0, 255)), { maxLength: 9 }),
  (values) => Uint8Array.from(values),
)

const strictly = (given: Uint8Array) =>
  Option.getOrUndefined(
    Result.getSuccess(
      Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(given)),
    ),
  )

describe("decodeUtf8", () => {
  it.prop("decodes and refuses what a strict TextDecoder does", [bytes], ([given]) => {
    assert.strictEqual(Option.getOrUndefined(decodeUtf8(given)), strictly(given))
  }, checks(5_000))
})
