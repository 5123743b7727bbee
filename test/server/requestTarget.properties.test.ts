import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option } from "effect"
import { normalizeTarget } from "../../src/server/requestTarget.ts"
import { anyOf, anyString, between, oneOf, text } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"

/** What a client may leave as it is in a path segment (RFC 3986, 3.3) or in a query (3.4). */
const bare = Arbitrary.map(
  Arbitrary.array(oneOf("a", "0", "-", "~", "!", "$", "'", "(", "*", "+", ",", ";", ":", "@"), {
    maxLength: 12,
  }),
  (characters) => characters.join(""),
)

const encoded = Arbitrary.map(text, encodeURIComponent)

/** As a router reads it: the path ends at `;` and `#`, and the query is a form. */
const read = (target: string) => {
  const [path = "", query = ""] = target.split("?", 2)
  return {
    segments: path.split(/[;#]/, 1).join().split("/").map(decodeURIComponent),
    query: new URLSearchParams(query.split("#", 1).join()),
  }
}

const normalized = (target: string) =>
  Option.getOrThrowWith(normalizeTarget(target), () => new Error(`Refused: ${target}`))

describe("normalizeTarget", () => {
  it.prop(
    "lets a router see every value as it was meant, encoded or bare",
    [anyOf(bare, encoded), anyOf(bare, encoded)],
    ([segment, value]) => {
      const { segments, query } = read(normalized(`/v1/users/${segment}/x?email=${value}&b=1`))
      assert.deepStrictEqual(segments, ["", "v1", "users", decodeURIComponent(segment), "x"])
      assert.deepStrictEqual([...query], [["email", decodeURIComponent(value)], ["b", "1"]])
    },
    checks(500),
  )

  it.prop("changes nothing the second time", [bare, encoded], ([segment, value]) => {
    const once = normalized(`/${segment}?a=${value}`)
    assert.strictEqual(normalized(once), once)
  }, checks(200))

  it.prop(
    "refuses a malformed encoding in the path and in the query",
    [
      text,
      oneOf("%", "%a", "%zz", "%ff", "%c3", "%ed%a0%80", "%c0%af", "%f4%90%80%80", "%u0041"),
      between(0, 40),
    ],
    ([given, malformed, at]) => {
      const around = encodeURIComponent(given.replaceAll(/[^a-z]/g, ""))
      const broken = `${around.slice(0, at)}${malformed}/${around.slice(at)}`
      assert.isTrue(Option.isNone(normalizeTarget(`/v1/${broken}`)))
      assert.isTrue(Option.isNone(normalizeTarget(`/v1/users?email=${broken}`)))
      assert.isTrue(Option.isNone(normalizeTarget(`/v1/users?${broken}=1`)))
    },
    checks(200),
  )

  it.prop("never fails, whatever the target", [anyString], ([target]) => {
    assert.isTrue(Option.isOption(normalizeTarget(target)))
  }, checks(300))
})
