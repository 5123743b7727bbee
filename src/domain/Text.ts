/**
 * Strings that PostgreSQL can store and give back unchanged.
 *
 * A NUL is refused by the server (SQLSTATE 22021), and a lone surrogate would silently become U+FFFD
 * on its way there; neither may get past a schema.
 */
import { Schema } from "effect"

const storable = Schema.makeFilter<string>(
  (text) => !text.includes("\0") && text.isWellFormed(),
  { expected: "well-formed text without NUL characters" },
)

/** Any storable text. */
export const Text = Schema.String.check(storable)

/**
 * Text of 1 to `maximum` characters, counted as PostgreSQL counts them: by code point. Nearly every
 * text has no more code units than that, and so needs no count.
 */
export const boundedText = (maximum: number) => {
  const { annotations } = Schema.isBetweenCodePoints(1, maximum)
  return Text.check(
    Schema.makeFilter<string>(
      (text) =>
        text.length > 0 &&
        (text.length <= maximum ||
          text.length <= 2 * maximum && Array.from(text).length <= maximum),
      annotations,
    ),
  )
}
