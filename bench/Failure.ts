import { Schema } from "effect"

/** The benchmark cannot go on. */
export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  message: Schema.String,
}) {}
