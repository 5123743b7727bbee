/**
 * Parts of requests that several endpoints share.
 */
import { Effect, Schema, SchemaTransformation, Struct } from "effect"

const withDefault = <S extends Schema.Top>(schema: S, value: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** A whole number in a query, digits only; described where the OpenAPI document looks, as text. */
const wholeNumber = ({ what, maximum, fallback }: {
  readonly what: string
  readonly maximum: number
  readonly fallback: number
}) =>
  withDefault(
    Schema.String.check(
      Schema.isPattern(/^[0-9]{1,9}$/u, { expected: "a whole number in digits" }),
    ).annotate({ description: `${what}, 1 to ${maximum}, default ${fallback}` }).pipe(
      Schema.decodeTo(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum })),
        SchemaTransformation.numberFromString,
      ),
    ),
    `${fallback}`,
  )

/** How a list is read: part by part. */
export const PageQuery = {
  limit: wholeNumber({ what: "Items a page", maximum: 100, fallback: 50 }),
  cursor: Schema.optionalKey(Schema.String).annotateKey({
    description: "nextCursor of the page before",
  }),
}

/** A list's part; `nextCursor` continues it and is null at its end. */
export const pageOf = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.NullOr(Schema.String) })

/** The window of a counter. */
export const Minutes = wholeNumber({
  what: "Length of the window",
  maximum: 43_200,
  fallback: 15,
})

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

/** For `OpenApi.Transform`: no body at all is `{}`, where every property is optional. */
export const withOptionalBody = (operation: Record<string, unknown>) => ({
  ...operation,
  requestBody: { ...Object(operation.requestBody), required: false },
})

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

const JsonBody = Schema.Struct({
  content: Schema.Struct({
    "application/json": Schema.Record(Schema.String, Schema.Unknown),
  }),
  required: Schema.Boolean,
})

/** Adds an example of the request's body to an operation of the OpenAPI document. */
export const withBodyExample =
  (example: Schema.JsonObject) =>
  ({ requestBody, ...operation }: Record<string, unknown>): Record<string, unknown> => ({
    ...operation,
    requestBody: Struct.evolve(Schema.decodeUnknownSync(JsonBody)(requestBody), {
      content: ({ "application/json": body }) => ({ "application/json": { ...body, example } }),
    }),
  })

/** Where a created row is. */
export const Location = { location: Schema.String }

/** The version of the user that is answered. */
export const ETag = { etag: Schema.String }
