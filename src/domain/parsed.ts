import { Effect, Option, SchemaGetter, SchemaIssue } from "effect"

/** Decodes text by a function that gives none for what it refuses; `message` says what it expects. */
export const parsed = <A>(parse: (input: string) => Option.Option<A>, message: string) =>
  SchemaGetter.transformEffect((input: string, options) =>
    Option.match(parse(input), {
      onSome: Effect.succeed,
      onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message }, input, options)),
    })
  )
