/**
 * Runs a `-- no-transaction` file: statement by statement, each committed by itself.
 *
 * `public.latchkey_migration_steps` remembers the statements that are done until the file is, so that
 * a run after a failure goes on at the statement that failed. A mended file starts again at its first
 * statement that differs from what was done.
 */
import { Duration, Effect, Option } from "effect"
import { Digest } from "effect/crypto"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import * as ConcurrentIndex from "./ConcurrentIndex.ts"
import { MigrationFailed } from "./MigrationFailed.ts"
import type { MigrationFile } from "./MigrationFile.ts"
import { lineOf, PostgresFailure } from "./PostgresFailure.ts"
import { type Statement, statements } from "./StatementScanner.ts"
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

/** Remembers that a statement is done, whatever role the file has taken on. */
const remember = Effect.fnUntraced(function* (id: number, position: number, digest: string) {
  const sql = yield* SqlClient.SqlClient
  const [before] = yield* sql<{ readonly role: string }>`SELECT current_setting('role') AS role`
  yield* sql`RESET ROLE`
  yield* sql`
    INSERT INTO public.latchkey_migration_steps (migration_id, position, sha256)
    VALUES (${id}, ${position}, ${digest})
    ON CONFLICT DO NOTHING
  `
  yield* sql`SELECT set_config('role', ${before?.role ?? "none"}, false)`
})

/**
 * Runs one statement. `… CONCURRENTLY` may wait for as long as the run may: it waits for old
 * transactions without making others wait, and giving up means to build again from the start.
 */
const execute = Effect.fnUntraced(function* (statement: Statement, wait: Duration.Duration) {
  const sql = yield* SqlClient.SqlClient
  const run = sql.unsafe(statement.text)
  if (!statement.tokens.some(({ text }) => text.toUpperCase() === "CONCURRENTLY")) {
    return yield* Effect.asVoid(run)
  }
  const [before] = yield* sql<{ readonly value: string }>`
    SELECT current_setting('lock_timeout') AS value
  `
  const setTimeout = (value: string) => sql`SELECT set_config('lock_timeout', ${value}, false)`
  yield* setTimeout(String(Math.ceil(Duration.toMillis(wait))))
  const index = ConcurrentIndex.built(statement)
  if (index !== undefined) {
    yield* ConcurrentIndex.dropInvalid(index)
  }
  yield* run
  yield* setTimeout(before?.value ?? "0")
})

const explain = Effect.fnUntraced(
  function* (file: MigrationFile, statement: Statement, error: SqlError) {
    const failure = PostgresFailure.of(error)
    if (Option.isNone(failure)) {
      return yield* error
    }
    const rows = /\bVALIDATE\b/i.test(statement.text)
      ? yield* violatingRows(failure.value)
      : undefined
    const mend = rows === undefined
      ? "mend the file or the data"
      : `find the rows with \`${rows}\`, correct them,`
    return yield* MigrationFailed.of(
      file,
      statement.line - 1 + lineOf(statement.text, failure.value.position ?? 1),
      failure.value,
      `The statements before this one are done and won't be repeated; ${mend} and run ` +
        "`deno task migrate` again.",
    )
  },
)

/**
 * Runs the statements of a `-- no-transaction` file that are not done yet.
 *
 * Fails with {@link MigrationFailed} for a refused statement, and with `IndexInvalid` where all ran
 * but an index can't be used. `wait` bounds how long a `CONCURRENTLY` waits for other transactions.
 */
export const run = Effect.fn("Steps.run")(function* (file: MigrationFile, wait: Duration.Duration) {
  const steps = statements(file.script)
  const digests = yield* Effect.forEach(steps, ({ text }) => sha256(text))
  yield* ensureTable
  const done = yield* countDone(file.id, digests)
  for (const [position, statement] of steps.entries()) {
    // Settings belong to the session: a run that goes on in the middle needs them again.
    if (position >= done || /^(SET|RESET)\b/i.test(statement.text)) {
      yield* execute(statement, wait).pipe(
        Effect.catchTag("SqlError", (error) => explain(file, statement, error)),
      )
      yield* remember(file.id, position, digests[position] ?? "")
    }
  }
  const invalid = yield* ConcurrentIndex.invalid
  if (invalid.length > 0) {
    return yield* new ConcurrentIndex.IndexInvalid({ file: file.file, indexes: invalid })
  }
})

/** Forgets the steps of a file; call it in the transaction that enters the file in the ledger. */
export const forget = Effect.fnUntraced(function* (id: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DELETE FROM public.latchkey_migration_steps WHERE migration_id = ${id}`
})
