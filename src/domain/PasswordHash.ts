/**
 * What a password hasher returned, in whatever format; never interpreted, and never printed.
 */
import { Redacted, Schema, SchemaGetter } from "effect"
import { boundedText } from "./Text.ts"

/**
 * Not `Schema.RedactedFromValue`: that wraps a value twice whenever it is decoded, and once more when
 * it is encoded, to hold what is in it against its schema again.
 */
const redactedFrom = <S extends Schema.Codec<string, string>>(text: S) =>
  text.pipe(
    Schema.decodeTo(
      Schema.declare((input): input is Redacted.Redacted<string> => Redacted.isRedacted(input)),
      {
        decode: SchemaGetter.transform((hash: string) =>
          Redacted.make(hash, { label: "passwordHash" })
        ),
        encode: SchemaGetter.transform(Redacted.value),
      },
    ),
  )

/** A hash as input, of 1 to 1024 characters. */
export const PasswordHash = redactedFrom(boundedText(1024))

/** A hash read from the database. */
export const StoredPasswordHash = redactedFrom(Schema.String)
