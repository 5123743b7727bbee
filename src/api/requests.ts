/**
 * Parts of requests that several endpoints share.
 */
import { Effect, Schema, SchemaTransformation, Struct } from "effect"

const withDefault = <S extends Schema.Top>(schema: S, value: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** A whole number from 1 in a query, digits only. */
const wholeNumber = ({ maximum, fallback }: {
  readonly maximum: number
  readonly fallback: number
}) =>
  withDefault(
    Schema.String.check(
      Schema.isPattern(/^[0-9]{1,9}$/u, { expected: "a whole number in digits" }),
    ).pipe(
      Schema.decodeTo(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum })),
        SchemaTransformation.numberFromString,
      ),
    ),
    `${fallback}`,
  )

/** `true` or `false` in a query. */
export const BooleanFromWord = Schema.Literals(["true", "false"]).pipe(
  Schema.decodeTo(
    Schema.Boolean,
    SchemaTransformation.transform({
      decode: (word) => word === "true",
      encode: (value) => value ? "true" as const : "false" as const,
    }),
  ),
)

/** How a list is read: part by part. */
export const PageQuery = {
  limit: wholeNumber({ maximum: 100, fallback: 50 }),
  cursor: Schema.optionalKey(Schema.String),
}

/** A list's part, as the component `name`; `nextCursor` continues it and is null at its end. */
export const pageOf = <S extends Schema.Top>(name: string, item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.NullOr(Schema.String) })
    .annotate({ identifier: name, description: "A page of a list" })

/** A nullable part of a request whose absence means null. */
export const optional = <S extends Schema.Top>(schema: S) =>
  Schema.optionalKey(Schema.NullOr(schema))

/** `include=user`: the answer has the token's user as well. */
export const IncludeUser = { include: Schema.optionalKey(Schema.Literal("user")) }

/** How many rows there were of something. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** How many tokens an action has revoked. */
export const Revoked = Schema.Struct({ revoked: Count })
  .annotate({ identifier: "Revoked", description: "What was revoked" })

/** The window of a counter, in minutes. */
export const Minutes = wholeNumber({ maximum: 43_200, fallback: 15 })

/** The age from which a clean-up deletes, as the component `name`. */
export const olderThanDays = (name: string, days: number) =>
  Schema.Struct({
    olderThanDays: withDefault(
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 36_500 }))
        .annotate({ default: days }),
      days,
    ),
  }).annotate({ identifier: name, description: "What to delete" })

/** The body of an action that takes nothing: `{}`, or no body at all. */
export const NoProperties = Schema.Record(Schema.String, Schema.Never)
  .annotate({ identifier: "NoProperties", description: "Nothing: `{}`, or no body at all" })

/** For `OpenApi.Transform`: no body at all is `{}`, where every property is optional. */
export const withOptionalBody = (operation: Record<string, unknown>) => ({
  ...operation,
  requestBody: { ...Object(operation.requestBody), required: false },
})

/** `Idempotency-Key`, which becomes the created row's id. */
export const idempotencyKey = <Id extends Schema.Top>(id: Id) => ({
  "idempotency-key": Schema.optionalKey(id),
})

/** `If-Match` (RFC 9110, 13.1.1). */
export const ifMatch = { "if-match": Schema.optionalKey(Schema.String) }

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

/** The version of the user in the response. */
export const ETag = { etag: Schema.String }
