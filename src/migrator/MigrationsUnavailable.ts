/**
 * The database can't be asked about its migrations, or can't be migrated.
 */
import { Effect, Option, Schema } from "effect"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { PostgresFailure } from "./PostgresFailure.ts"

export class MigrationsUnavailable
  extends Schema.TaggedError<MigrationsUnavailable>()("MigrationsUnavailable", {
    /** SQLSTATE; null when the connection failed. */
    sqlState: Schema.NullOr(Schema.String),
    message: Schema.String,
  }) {
  static readonly of = (error: SqlError) =>
    Option.match(PostgresFailure.of(error), {
      onNone: () =>
        new MigrationsUnavailable({
          sqlState: null,
          message: "The connection to the database was lost or refused; check that the server is " +
            "up and try again. What was under way is rolled back.",
        }),
      onSome: (failure) =>
        new MigrationsUnavailable({
          sqlState: failure.code,
          message: `The database refused to work on its migrations: ${failure.words} ` +
            `(${failure.code}). ${advice[failure.code] ?? "Mend that and try again."}`,
        }),
    })
}

const advice: Readonly<Record<string, string>> = {
  "42501":
    "Migrate, and look for drift, as the owner of the database; `deno task migrate grant ROLE` " +
    "lets a role that only serves read what status and verify look at.",
  "42P01": "Run `deno task migrate` first, or see with `deno task migrate drift` what is missing.",
  "25006": "Connect to the primary; this server is read-only.",
}

/** Turns what the driver says into a sentence. */
export const explained = <A, E, R>(effect: Effect.Effect<A, E | SqlError, R>) =>
  Effect.catchIf(effect, isSqlError, (error) => Effect.fail(MigrationsUnavailable.of(error)))
