/**
 * What a password hasher returned, in whatever format; never interpreted, and never printed.
 */
import { Redacted, Schema, SchemaGetter } from "effect"
import { boundedText, isBoundedText } from "../schema/Text.ts"

type Hash = Redacted.Redacted<string>

/**
 * Not `Schema.RedactedFromValue`: that wraps a value twice whenever it is decoded, and once more when
 * it is encoded, and wants the label of whoever redacted it to be its own.
 */
const redactedFrom = <S extends Schema.Codec<string, string>>(
  text: S,
  isHash: (input: unknown) => input is Hash,
) =>
  text.pipe(
    Schema.decodeTo(Schema.declare(isHash, { expected: "a redacted password hash" }), {
      decode: SchemaGetter.transform((hash: string) =>
        Redacted.make(hash, { label: "passwordHash" })
      ),
      encode: SchemaGetter.transform(Redacted.value),
    }),
  )

const longest = 1024
const isText = isBoundedText(longest)

/** A hash as input, of 1 to 1024 characters. */
export const PasswordHash = redactedFrom(
  boundedText(longest),
  (input): input is Hash => Redacted.isRedacted(input) && isText(Redacted.value(input)),
)

/** A hash read from the database. Whatever is redacted passes for one: what is, is text. */
export const StoredPasswordHash = redactedFrom(
  Schema.String,
  (input): input is Hash => Redacted.isRedacted(input),
)
