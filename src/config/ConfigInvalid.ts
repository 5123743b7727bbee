import { Schema } from "effect"

/** The environment cannot be used as it is: one sentence for each variable that has to be mended. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  problems: Schema.NonEmptyArray(Schema.String),
}) {
  /** The sentences, a line each. */
  override get message() {
    return this.problems.join("\n")
  }
}
