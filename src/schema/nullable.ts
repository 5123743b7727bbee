import { Effect, Option, Schema, SchemaGetter } from "effect"

/**
 * A value or null, null tried first: `Schema.NullOr` lets the other schema refuse each null before,
 * with an issue that nobody reads.
 */
export const nullable = <S extends Schema.Top>(schema: S) => Schema.Union([Schema.Null, schema])

/**
 * A nullable input whose absence means null, when it is decoded and when it is constructed. Not by
 * `Schema.withDecodingDefaultKey`, whose default is an effect that is run for each absent value.
 */
export const optionalAsNull = <S extends Schema.Top & Schema.WithoutConstructorDefault>(
  schema: S,
) => {
  const stored = nullable(schema)
  return Schema.optionalKey(Schema.toEncoded(stored)).pipe(
    Schema.decodeTo(stored, {
      decode: SchemaGetter.transformOptional(Option.orElseSome(() => null)),
      encode: SchemaGetter.passthrough(),
    }),
    Schema.withConstructorDefault(Effect.succeed(null)),
  )
}
