import { Effect, Option, SchemaGetter, SchemaIssue } from "effect"

/** Decodes by a function that gives none for what it refuses; `message` says what it expects. */
export const fromParser = <I, A>(parse: (input: I) => Option.Option<A>, message: string) =>
  SchemaGetter.transformEffect((input: I, options) => {
    const found = parse(input)
    return Option.isSome(found)
      ? Effect.succeed(found.value)
      : Effect.fail(new SchemaIssue.InvalidValue({ message }, input, options))
  })
