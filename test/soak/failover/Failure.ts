import { Schema } from "effect"

/** The soak cannot go on, or has found what must not be. */
export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  message: Schema.String,
}) {}
