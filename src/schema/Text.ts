/**
 * Strings that PostgreSQL can store and give back unchanged.
 *
 * A NUL is refused by the server (SQLSTATE 22021), and a lone surrogate would silently become U+FFFD
 * on its way there; neither may get past a schema.
 */
import { Predicate, Schema } from "effect"

const isStorable = (text: string) => !text.includes("\0") && text.isWellFormed()

const storable = Schema.makeFilter<string>(
  isStorable,
  { expected: "well-formed text without NUL characters" },
)

/** Any storable text. */
export const Text = Schema.String.check(storable)

/**
 * Whether a text has 1 to `maximum` code points. Nearly every one has no more code units than that,
 * and so needs no count.
 */
const isWithin = (text: string, maximum: number) =>
  text.length > 0 &&
  (text.length <= maximum || text.length <= 2 * maximum && Array.from(text).length <= maximum)

/** Text of 1 to `maximum` characters, counted as PostgreSQL counts them: by code point. */
export const boundedText = (maximum: number) => {
  const { annotations } = Schema.isBetweenCodePoints(1, maximum)
  return Text.check(Schema.makeFilter<string>((text) => isWithin(text, maximum), annotations))
}

/** What `boundedText` takes, told without a schema. */
export const isBoundedText = (maximum: number) => (value: unknown): boolean =>
  Predicate.isString(value) && isStorable(value) && isWithin(value, maximum)
