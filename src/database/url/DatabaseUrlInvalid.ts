import { Schema } from "effect"

/**
 * A connection URL that cannot be used as it is written. The message names the variable and what it
 * wants; it never quotes the value, since any part of it may be a piece of a mistyped password.
 */
export class DatabaseUrlInvalid extends Schema.TaggedError<DatabaseUrlInvalid>()(
  "DatabaseUrlInvalid",
  { message: Schema.String },
) {}
