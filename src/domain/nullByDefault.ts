import { Effect, Schema } from "effect"

/** A nullable input whose absence means null, when it is decoded and when it is constructed. */
export const nullByDefault = <S extends Schema.Top & Schema.WithoutConstructorDefault>(schema: S) =>
  Schema.NullOr(schema).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(null)),
    Schema.withConstructorDefault(Effect.succeed(null)),
  )
