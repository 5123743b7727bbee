/**
 * Row ids: UUIDs of any version (RFC 9562), in lower case as PostgreSQL prints them.
 */
import { Schema, SchemaTransformation } from "effect"

/** A UUID as input, in any case. */
export const Uuid = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, {
    expected: "a UUID",
  }),
).annotate({ format: "uuid" }).pipe(
  Schema.decodeTo(Schema.String, SchemaTransformation.toLowerCase()),
)

/**
 * A UUID read from the database, whose type admits nothing else, or an id on its way there, which is
 * refused there if it was made of something else.
 */
export const StoredUuid = Schema.String.annotate({ format: "uuid" })
