/**
 * Inputs that are as strange as inputs get.
 */
import { Arbitrary, Schema } from "effect"

/** A whole number, both ends included. */
export const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** One of the values; simpler ones first, since shrinking goes that way. */
export const oneOf = <const A>(...values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  anyOf(...values.map((value) => Arbitrary.Constant(value)))

/** A value of one of the arbitraries. */
export const anyOf = <A>(
  ...arbitraries: ReadonlyArray<Arbitrary.Arbitrary<A>>
): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(between(0, arbitraries.length - 1), (index) => {
    const chosen = arbitraries[index]
    if (chosen === undefined) throw new RangeError("There is nothing to choose from")
    return chosen
  })

/** Pieces of text that have broken other systems, all of them well-formed and without NUL. */
export const troublesome = [
  "",
  " ",
  "a",
  "+",
  "%",
  "%2B",
  "%zz",
  "/",
  "?",
  "#",
  ";",
  "&a=b",
  "'; DROP TABLE users; --",
  '"}],"a":{"$ne":null}',
  "\\",
  "$1",
  "${a}",
  "\r\n",
  "\u001b[31m",
  "\u00a0",
  "\u200f\u202eolleh",
  "e\u0301",
  "ß",
  "İ",
  "\ufffd",
  "\ufeff",
  "😀",
  "👩‍👩‍👧",
  "__proto__",
  "null",
  "NaN",
]

/** What PostgreSQL cannot store, or would store as something else. */
export const unstorable = ["\0", "a\0b", "\ud800", "\udc00a", "a\ud83d"]

/** Text of troublesome and ordinary pieces, well-formed and without NUL. */
export const text = Arbitrary.map(
  Arbitrary.array(
    anyOf<string>(
      oneOf(...troublesome),
      Arbitrary.schema(Schema.String.check(Schema.isPattern(/^[ -~]*$/))),
    ),
    { maxLength: 6 },
  ),
  (pieces) => pieces.join(""),
)

/** Any string that JavaScript has. */
export const anyString = anyOf<string>(
  text,
  Arbitrary.map(
    Arbitrary.array(oneOf(...troublesome, ...unstorable), { maxLength: 6 }),
    (pieces) => pieces.join(""),
  ),
  Arbitrary.map(
    Arbitrary.array(between(0, 0xffff), { maxLength: 20 }),
    (units) => String.fromCharCode(...units),
  ),
)
