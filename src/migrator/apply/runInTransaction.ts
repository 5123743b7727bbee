/**
 * Runs a whole script as one statement, in the transaction that is open.
 *
 * The client speaks PostgreSQL's extended protocol, which takes one statement at a time. PL/pgSQL's
 * `EXECUTE` takes a script, so PostgreSQL itself finds the statements and nothing here can cut one
 * in two.
 */
import { Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import { isLockFailure, MigrationFailed } from "../MigrationFailed.ts"
import type { MigrationFile } from "../MigrationFile.ts"
import { lineOf, PostgresFailure } from "../PostgresFailure.ts"
import { statements } from "../StatementScanner.ts"

/** A dollar quote around a text; its tag ends the text nowhere but at its end. */
const quote = (text: string) => {
  let tag = "$latchkey$"
  for (let n = 1; (text + tag).indexOf(tag) < text.length; n++) {
    tag = `$latchkey${n}$`
  }
  return tag + text + tag
}

const execute = (text: string) => `EXECUTE ${quote(text)};`

const block = (body: string) => `DO ${quote(`BEGIN ${body} END`)}`

/**
 * The script with an `EXECUTE` for each statement, each on its line, so that PL/pgSQL's context names
 * the line. Never what is applied: only a copy that is rolled back, to learn where the script failed.
 */
const byStatement = (script: string) => {
  let body = ""
  let line = 1
  for (const statement of statements(script)) {
    body += "\n".repeat(statement.line - line) + execute(statement.text)
    line = statement.line + statement.text.split("\n").length - 1
  }
  return block(body)
}

const contextLine = (where: string | undefined) =>
  [...(where ?? "").matchAll(/inline_code_block\D+(\d+)/g)].map(([, line]) => Number(line)).at(-1)

const attempt = Effect.fnUntraced(function* (script: string) {
  const sql = yield* SqlClient.SqlClient
  // Inside the transaction this is a savepoint: after a failure, the transaction can still answer.
  yield* sql.withTransaction(sql.unsafe(script))
})

/** The line at which a script fails. Most errors that data or names cause come without a position. */
const findLine = Effect.fnUntraced(function* (script: string, failure: PostgresFailure) {
  if (failure.internalPosition !== undefined && failure.internalQuery === script) {
    return lineOf(script, failure.internalPosition)
  }
  if (isLockFailure(failure.code) || failure.code === "57014") {
    // It would wait again, with others queueing behind the locks that it holds.
    return null
  }
  const again = yield* attempt(byStatement(script)).pipe(
    Effect.as(Option.none()),
    Effect.catchTag("SqlError", (error) => Effect.succeed(PostgresFailure.of(error))),
  )
  return Option.match(again, {
    onNone: () => null,
    onSome: ({ code, message, where }) =>
      code === failure.code && message === failure.message ? contextLine(where) ?? null : null,
  })
})

/** What to do next. A type or table that exists hints at a schema that other means have made. */
const advice = (sqlState: string) =>
  sqlState === "42710" || sqlState === "42P07"
    ? "If the schema was made by other means, adopt it with `deno task migrate baseline NUMBER`; " +
      "else mend the file and run `deno task migrate` again."
    : "Mend it and run `deno task migrate` again."

/**
 * Runs a migration's script in the open transaction.
 *
 * Fails with {@link MigrationFailed} when PostgreSQL refuses it, and leaves `SqlError` for a lost
 * connection.
 */
export const runInTransaction = Effect.fn("runInTransaction")((file: MigrationFile) =>
  Effect.catchTag(
    attempt(block(execute(file.script))),
    "SqlError",
    Effect.fnUntraced(function* (error) {
      const failure = PostgresFailure.of(error)
      if (Option.isNone(failure)) {
        return yield* error
      }
      return yield* MigrationFailed.of(
        file,
        yield* findLine(file.script, failure.value),
        failure.value,
        `Nothing of this file was applied. ${advice(failure.value.code)}`,
      )
    }),
  )
)
