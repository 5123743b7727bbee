/**
 * Runs a `-- no-transaction` file: statement by statement, each committed by itself.
 *
 * `public.latchkey_migration_steps` holds a note of each statement that is done until the file is, so
 * that a run after a failure goes on at the statement that failed. A mended file starts again at its first
 * statement that differs from what was done.
 */
import { Duration, Effect, Option } from "effect"
import { Digest } from "effect/crypto"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { MigrationFailed } from "../MigrationFailed.ts"
import type { MigrationFile } from "../MigrationFile.ts"
import { lineOf, PostgresFailure } from "../PostgresFailure.ts"
import { type Statement, statements } from "../StatementScanner.ts"
import * as ConcurrentIndex from "./ConcurrentIndex.ts"
import { restore } from "./Session.ts"
import { violatingRows } from "./violatingRows.ts"

const ensureTable = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TABLE IF NOT EXISTS public.latchkey_migration_steps (
      migration_id integer NOT NULL,
      position integer NOT NULL,
      sha256 text NOT NULL,
      CONSTRAINT latchkey_migration_steps_pkey PRIMARY KEY (migration_id, position)
    )
  `
})

interface Step {
  /** Of the migration. */
  readonly id: number
  /** Among its statements, from 0. */
  readonly position: number
  readonly digest: string
}

const sha256 = Effect.fnUntraced(
  function* (text: string) {
    return yield* (yield* Digest.Digest).digestHex(Digest.sha256, new TextEncoder().encode(text))
  },
  Effect.provide(Digest.layerWebCrypto),
)

/** How many of the first statements an earlier run has done; forgets what no longer agrees. */
const countDone = Effect.fnUntraced(function* (id: number, digests: ReadonlyArray<string>) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly sha256: string }>`
    SELECT sha256
    FROM public.latchkey_migration_steps
    WHERE migration_id = ${id}
    ORDER BY position
  `
  const differing = rows.findIndex((row, position) => row.sha256 !== digests[position])
  const done = differing === -1 ? rows.length : differing
  yield* sql`
    DELETE FROM public.latchkey_migration_steps
    WHERE migration_id = ${id} AND position >= ${done}
  `
  return done
})

/**
 * Notes that a statement is done, in the open transaction and as the role that signed in, whatever
 * role the file has taken on.
 */
const note = Effect.fnUntraced(function* ({ id, position, digest }: Step) {
  const sql = yield* SqlClient.SqlClient
  const authorization = sql<{ readonly user: string; readonly role: string }>`
    SELECT session_user::text AS "user", pg_catalog.current_setting('role') AS role
  `
  const [before] = yield* authorization
  yield* sql`RESET SESSION AUTHORIZATION`
  yield* sql`RESET ROLE`
  yield* sql`
    INSERT INTO public.latchkey_migration_steps (migration_id, position, sha256)
    VALUES (${id}, ${position}, ${digest})
    ON CONFLICT DO NOTHING
  `
  const [own] = yield* authorization
  if (before !== undefined && before.user !== own?.user) {
    yield* sql`SET SESSION AUTHORIZATION ${sql(before.user)}`
  }
  yield* sql`SELECT pg_catalog.set_config('role', ${before?.role ?? "none"}, false)`
})

/** The same in a transaction of its own, which may write whatever the file has set. */
const noteApart = (step: Step) =>
  SqlClient.SqlClient.use((sql) =>
    sql.withTransaction(Effect.andThen(sql`SET TRANSACTION READ WRITE`, note(step)))
  )

/**
 * Runs a `… CONCURRENTLY`, which may wait for as long as the run may: it waits for old transactions
 * without making others wait, and giving up means to build again from the start.
 */
const runConcurrently = Effect.fnUntraced(function* (
  file: MigrationFile,
  statement: Statement,
  wait: Duration.Duration,
) {
  const sql = yield* SqlClient.SqlClient
  const [before] = yield* sql<{ readonly value: string }>`
    SELECT pg_catalog.current_setting('lock_timeout') AS value
  `
  const setTimeout = (value: string) =>
    sql`SELECT pg_catalog.set_config('lock_timeout', ${value}, false)`
  yield* setTimeout(String(Math.ceil(Duration.toMillis(wait))))
  const build = ConcurrentIndex.parse(statement)
  if (build === undefined) {
    yield* sql.unsafe(statement.text)
  } else {
    yield* ConcurrentIndex.dropInvalid(build)
    const found = yield* ConcurrentIndex.find(build)
    if (found._tag === "Other") {
      return yield* new MigrationFailed({
        file: file.file,
        line: statement.line,
        sqlState: "42P07",
        reason: `${found.name} exists, and is not what this statement makes: ${found.definition}`,
        next: `Drop or rename one of them. ${next("run")}`,
      })
    }
    if (found._tag === "None") {
      yield* sql.unsafe(statement.text)
    }
  }
  yield* setTimeout(before?.value ?? "0")
})

/** A transaction is open, or was ended within a statement, which this one does not allow. */
const refusesTransaction = (error: SqlError) =>
  Option.exists(PostgresFailure.of(error), ({ code }) => code === "25001" || code === "2D000")

/** Runs a statement in one transaction with its note, so that a run that is killed leaves both or none. */
const runWithNote = Effect.fnUntraced(function* (statement: Statement, step: Step) {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(statement.text)
  const readOnly = yield* sql`
    SELECT WHERE pg_catalog.current_setting('transaction_read_only')::boolean
  `
  if (readOnly.length === 0) {
    yield* note(step)
  }
  return { noted: readOnly.length === 0 }
}, (effect) => SqlClient.SqlClient.use((sql) => sql.withTransaction(effect)))

/**
 * Runs a statement and notes that it is done. What PostgreSQL runs in no transaction is noted after it:
 * a run that is killed between the two repeats it. An index that is there is not built again, and other
 * such statements (VACUUM, a block that commits by itself) are written so that they may be repeated.
 */
const runStep = Effect.fnUntraced(function* (
  file: MigrationFile,
  statement: Statement,
  step: Step,
  wait: Duration.Duration,
) {
  const sql = yield* SqlClient.SqlClient
  if (statement.tokens.some(({ text }) => text.toUpperCase() === "CONCURRENTLY")) {
    yield* runConcurrently(file, statement, wait)
    return yield* noteApart(step)
  }
  const { noted } = yield* Effect.catchIf(
    runWithNote(statement, step),
    refusesTransaction,
    () => Effect.as(sql.unsafe(statement.text), { noted: false }),
  )
  if (!noted) {
    yield* noteApart(step)
  }
})

/** What a failed file leaves, and what to do. */
const next = (action: string) =>
  `The statements before this one are done and won't be repeated; ${action} ` +
  "`deno task migrate` again."

const explain = Effect.fnUntraced(
  function* (file: MigrationFile, statement: Statement, error: SqlError) {
    const failure = PostgresFailure.of(error)
    if (Option.isNone(failure)) {
      return yield* error
    }
    const rows = /\bVALIDATE\b/i.test(statement.text)
      ? yield* violatingRows(failure.value)
      : undefined
    const action = rows === undefined
      ? "mend the file or the data and run"
      : `find the rows with \`${rows}\`, correct them, and run`
    return yield* MigrationFailed.of(
      file,
      statement.line - 1 + lineOf(statement.text, failure.value.position ?? 1),
      failure.value,
      next(action),
    )
  },
)

/**
 * Runs the statements of a `-- no-transaction` file that are not done yet.
 *
 * Fails with {@link MigrationFailed} for a refused statement, and with `IndexInvalid` where all ran
 * but an index can't be used. `wait` bounds how long a `CONCURRENTLY` waits for other transactions.
 */
export const runStepwise = Effect.fn("runStepwise")(function* (
  file: MigrationFile,
  wait: Duration.Duration,
) {
  const steps = statements(file.script)
  const digests = yield* Effect.forEach(steps, ({ text }) => sha256(text))
  yield* ensureTable
  const done = yield* countDone(file.id, digests)
  for (const [position, statement] of steps.entries()) {
    // Settings belong to the session: a run that goes on in the middle needs them again.
    if (position >= done || /^(SET|RESET)\b/i.test(statement.text)) {
      const step = { id: file.id, position, digest: digests[position] ?? "" }
      yield* runStep(file, statement, step, wait).pipe(
        Effect.catchTag("SqlError", (error) => explain(file, statement, error)),
      )
    }
  }
  yield* restore
  const invalid = yield* ConcurrentIndex.invalid
  if (invalid.length > 0) {
    return yield* new ConcurrentIndex.IndexInvalid({ file: file.file, indexes: invalid })
  }
})

/** Forgets the steps of a file; call it in the transaction that enters the file in the ledger. */
export const forgetSteps = Effect.fnUntraced(function* (id: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DELETE FROM public.latchkey_migration_steps WHERE migration_id = ${id}`
})
