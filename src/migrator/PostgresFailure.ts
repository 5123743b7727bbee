/**
 * What PostgreSQL says about a failed statement, as far as it helps whoever wrote the migration.
 *
 * `detail` stays out: it can quote a row, and rows hold password hashes.
 */
import { Option, Schema } from "effect"
import type { SqlError } from "effect/sql/SqlError"

export class PostgresFailure extends Schema.Class<PostgresFailure>("PostgresFailure")({
  /** SQLSTATE. */
  code: Schema.String,
  message: Schema.String,
  hint: Schema.optional(Schema.String),
  /** What the failure is about, where it is about one. */
  schema: Schema.optional(Schema.String),
  table: Schema.optional(Schema.String),
  constraint: Schema.optional(Schema.String),
  /** Place in the statement, in characters from 1. */
  position: Schema.optional(Schema.NumberFromString),
  /** Place in `internalQuery`, a statement that the server ran for the client's. */
  internalPosition: Schema.optional(Schema.NumberFromString),
  internalQuery: Schema.optional(Schema.String),
  /** The call stack, innermost first. */
  where: Schema.optional(Schema.String),
}) {
  /** The server's answer in an error; none when the connection failed instead. */
  static of(error: SqlError): Option.Option<PostgresFailure> {
    return Option.filter(
      Schema.decodeUnknownOption(PostgresFailure)(error.reason.cause),
      // 08 and 57P: the connection or the server went away; it's not the statement's fault.
      ({ code }) => !code.startsWith("08") && !code.startsWith("57P"),
    )
  }

  /** The message and the hint, in one line. */
  get words() {
    return this.hint === undefined ? this.message : `${this.message} (${this.hint})`
  }
}

/** The line of a text that holds a position as PostgreSQL counts: in characters, from 1. */
export const lineOf = (text: string, position: number) =>
  Array.from(text).slice(0, position - 1).filter((character) => character === "\n").length + 1
