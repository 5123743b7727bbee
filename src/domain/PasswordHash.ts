/**
 * What a password hasher returned, in whatever format; never interpreted, and never printed.
 */
import { Redacted, Schema, SchemaGetter } from "effect"
import { boundedText } from "./Text.ts"

/**
 * Not `Schema.RedactedFromValue`: that wraps a value twice whenever it is decoded, and once more when
 * it is encoded, and wants the label of whoever redacted it to be its own.
 */
const redactedFrom = <S extends Schema.Codec<string, string>>(text: S) => {
  const isText = Schema.is(text)
  return text.pipe(
    Schema.decodeTo(
      Schema.declare(
        (input): input is Redacted.Redacted<string> =>
          Redacted.isRedacted(input) && isText(Redacted.value(input)),
        { expected: "a redacted password hash" },
      ),
      {
        decode: SchemaGetter.transform((hash: string) =>
          Redacted.make(hash, { label: "passwordHash" })
        ),
        encode: SchemaGetter.transform(Redacted.value),
      },
    ),
  )
}

/** A hash as input, of 1 to 1024 characters. */
export const PasswordHash = redactedFrom(boundedText(1024))

/** A hash read from the database. */
export const StoredPasswordHash = redactedFrom(Schema.String)
