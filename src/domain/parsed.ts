import { Effect, Option, SchemaGetter, SchemaIssue } from "effect"

/** Decodes by a function that gives none for what it refuses; `message` says what it expects. */
export const parsed = <I, A>(parse: (input: I) => Option.Option<A>, message: string) =>
  SchemaGetter.transformEffect((input: I, options) =>
    Option.match(parse(input), {
      onSome: Effect.succeed,
      onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message }, input, options)),
    })
  )
