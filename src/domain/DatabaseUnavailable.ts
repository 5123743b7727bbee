import { Schema } from "effect"

/**
 * PostgreSQL could not be asked, or gave up on the question: it is unreachable, shutting down,
 * read-only, out of connections, or a time limit ended the statement. Trying again later may help;
 * for a write it is unknown whether it was done.
 */
export class DatabaseUnavailable
  extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", {
    /** SQLSTATE, where PostgreSQL gave one. */
    code: Schema.NullOr(Schema.String),
  }) {
  override readonly message = "The database is unavailable"
}
