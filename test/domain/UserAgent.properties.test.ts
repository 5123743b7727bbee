import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option, Schema } from "effect"
import { UserAgent } from "../../src/domain/UserAgent.ts"
import { anyString, between, oneOf, text, troublesome } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"

const decode = Schema.decodeOption(UserAgent)

/** Text around the limit of 1,024 characters, with characters of two code units at the limit. */
const long = Arbitrary.map(
  Arbitrary.all({
    length: between(1_000, 1_060),
    filling: oneOf("a", "é", "😀"),
    ending: Arbitrary.array(oneOf(...troublesome), { maxLength: 40 }),
  }),
  ({ length, filling, ending }) => filling.repeat(length) + ending.join(""),
)

describe("UserAgent", () => {
  it.prop("keeps what is not longer than 1,024 characters", [text], ([given]) => {
    if ([...given].length > 1_024) return
    assert.deepStrictEqual(decode(given), Option.some(given))
  }, checks(300))

  it.prop("is cut after 1,024 characters, never within one", [long], ([given]) => {
    const cut = [...given].slice(0, 1_024).join("")
    assert.deepStrictEqual(decode(given), Option.some(cut))
    assert.isTrue(cut.isWellFormed())
  }, checks(300))

  it.prop("is refused exactly when it cannot be stored", [anyString], ([given]) => {
    assert.strictEqual(Option.isSome(decode(given)), given.isWellFormed() && !given.includes("\0"))
  }, checks(300))
})
