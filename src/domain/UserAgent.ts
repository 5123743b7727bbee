/**
 * What a client says it is.
 */
import { Schema, SchemaTransformation } from "effect"
import { Text } from "../schema/Text.ts"

/** In characters. */
const maximum = 1024

/**
 * Cut instead of refused when it is too long: a hostile client must not be able to keep its failed
 * attempt from being counted.
 */
export const UserAgent = Text.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform({
      // Never more code units than twice the code points, so the spread stays small.
      decode: (given: string) =>
        given.length <= maximum
          ? given
          : Array.from(given.slice(0, 2 * maximum)).slice(0, maximum).join(""),
      encode: (cut: string) => cut,
    }),
  ),
)
