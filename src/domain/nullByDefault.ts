import { Effect, Schema } from "effect"
import { orNull } from "./orNull.ts"

/** A nullable input whose absence means null, when it is decoded and when it is constructed. */
export const nullByDefault = <S extends Schema.Top & Schema.WithoutConstructorDefault>(schema: S) =>
  orNull(schema).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(null)),
    Schema.withConstructorDefault(Effect.succeed(null)),
  )
