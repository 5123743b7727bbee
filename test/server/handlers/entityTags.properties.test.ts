import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Schema } from "effect"
import { Version } from "../../../src/domain/User.ts"
import { toEntityTag, toPrecondition } from "../../../src/server/handlers/entityTags.ts"
import { anyOf, anyString, oneOf } from "../../support/arbitraries.ts"
import { checks } from "../../support/checks.ts"

/** What may be between the quotes (RFC 9110, 8.8.3): commas and blanks-to-be too, but no blank. */
const opaque = anyOf<string>(
  oneOf("", "1", ",", "*", "W/", "a,b", "\u00ff"),
  Arbitrary.schema(Schema.String.check(Schema.isPattern(/^[!#-~]{0,12}$/))),
)

const member = Arbitrary.all({
  opaque,
  weak: oneOf(false, true),
  before: oneOf("", " ", "\t", " ,", ",, "),
  after: oneOf("", " ", "\t\t"),
})

describe("If-Match", () => {
  it.effect.prop(
    "asks for the strong tags of its list, in whatever way the list is written",
    [Arbitrary.array(member, { minLength: 1, maxLength: 6 })],
    ([members]) =>
      Effect.gen(function* () {
        const header = members
          .map(({ opaque, weak, before, after }) =>
            `${before}${weak ? "W/" : ""}"${opaque}"${after}`
          )
          .join(",")
        const strong = members.filter(({ weak }) => !weak).map(({ opaque }) => opaque)
        assert.deepStrictEqual<unknown>(yield* toPrecondition(header), { ifVersion: strong })
      }),
    checks(500),
  )

  it.effect.prop(
    "matches the tag of the same version only",
    [opaque, opaque],
    ([a, b]) =>
      Effect.gen(function* () {
        const { ifVersion = [] } = yield* toPrecondition(toEntityTag(Version.make(a)))
        assert.strictEqual(ifVersion.includes(Version.make(b)), a === b)
        assert.isTrue(ifVersion.includes(Version.make(a)))
      }),
    checks(200),
  )

  it.effect.prop(
    "that is no list of tags is refused",
    [anyString, opaque],
    ([garbage, opaque]) =>
      Effect.gen(function* () {
        const unquoted = garbage.replaceAll(/["*]/g, "")
        for (const header of [unquoted, `"${opaque}" "${opaque}"`, `"${opaque}`, `w/"${opaque}"`]) {
          const exit = yield* Effect.exit(toPrecondition(header))
          assert.deepStrictEqual(
            Exit.isFailure(exit) && exit.cause.reasons.map((reason) => reason._tag),
            ["Fail"],
            header,
          )
        }
      }),
    checks(300),
  )
})
