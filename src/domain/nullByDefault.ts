import { Effect, Option, Schema, SchemaGetter } from "effect"
import { orNull } from "./orNull.ts"

/**
 * A nullable input whose absence means null, when it is decoded and when it is constructed. Not by
 * `Schema.withDecodingDefaultKey`, whose default is an effect that is run for each absent value.
 */
export const nullByDefault = <S extends Schema.Top & Schema.WithoutConstructorDefault>(
  schema: S,
) => {
  const nullable = orNull(schema)
  return Schema.optionalKey(Schema.toEncoded(nullable)).pipe(
    Schema.decodeTo(nullable, {
      decode: SchemaGetter.transformOptional(Option.orElseSome(() => null)),
      encode: SchemaGetter.passthrough(),
    }),
    Schema.withConstructorDefault(Effect.succeed(null)),
  )
}
