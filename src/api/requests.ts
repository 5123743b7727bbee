/**
 * Parts of requests that several endpoints share.
 */
import { Effect, Schema, SchemaTransformation } from "effect"

/** A whole number in a query: digits only. */
const IntFromDigits = Schema.String.check(
  Schema.isPattern(/^[0-9]{1,9}$/, { expected: "a whole number in digits" }),
).pipe(Schema.decodeTo(Schema.Int, SchemaTransformation.numberFromString))

const withDefault = <S extends Schema.Top>(schema: S, value: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** How a list is read: part by part. */
export const PageQuery = {
  limit: withDefault(
    IntFromDigits.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
    "50",
  ).annotateKey({ description: "Items a page, 1 to 100, default 50" }),
  cursor: Schema.optionalKey(Schema.String).annotateKey({
    description: "nextCursor of the page before",
  }),
}

/** A list's part; `nextCursor` continues it and is null at its end. */
export const pageOf = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.NullOr(Schema.String) })

/** The window of a counter. */
export const Minutes = withDefault(
  IntFromDigits.check(Schema.isBetween({ minimum: 1, maximum: 43_200 })),
  "15",
).annotateKey({ description: "Length of the window, 1 to 43200, default 15" })

/** The age from which a clean-up deletes. */
export const olderThanDays = (days: number) =>
  Schema.Struct({
    olderThanDays: withDefault(
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 36_500 })),
      days,
    ).annotateKey({ description: `Days of 24 hours, 0 to 36500, default ${days}` }),
  })

/** The body of an action that takes nothing: `{}`, or no body at all. */
export const NoProperties = Schema.Record(Schema.String, Schema.Never)

/** `Idempotency-Key`, which becomes the created row's id. */
export const idempotencyKey = <Id extends Schema.Top>(id: Id) => ({
  "idempotency-key": Schema.optionalKey(id).annotateKey({
    description: "Becomes the row's id; the same request again answers as the first one did",
  }),
})

/** `If-Match` (RFC 9110, 13.1.1). */
export const ifMatch = {
  "if-match": Schema.optionalKey(Schema.String).annotateKey({
    description: "The change is made only if the user has one of these entity tags",
  }),
}

/** Where a created row is. */
export const Location = { location: Schema.String }

/** The version of the user that is answered. */
export const ETag = { etag: Schema.String }
