/**
 * Applies one migration, on the session at hand, which must hold the migrations' lock.
 */
import { Duration, Effect } from "effect"
import { Migrator as EffectMigrator } from "effect/sql"
import { SqlError } from "effect/sql/SqlError"
import * as Ledger from "../Ledger.ts"
import { MigrationFailed } from "../MigrationFailed.ts"
import type { MigrationFile } from "../MigrationFile.ts"
import { runInTransaction } from "./runInTransaction.ts"
import { forgetSteps, runStepwise } from "./runStepwise.ts"
import { restore } from "./Session.ts"

/**
 * Has Effect's migrator run `change` as the migration `file`: under its lock, in its transaction, and
 * with an entry in its table. It takes the migration for applied if an entry is there already.
 */
const asMigration = Effect.fnUntraced(
  function* (
    file: MigrationFile,
    change: Parameters<typeof EffectMigrator.fromRecord>[0][string],
  ) {
    yield* EffectMigrator.make({})({
      loader: Effect.succeed([[file.id, file.name, Effect.succeed(change)]]),
      table: Ledger.effectTable,
    })
  },
  // What `change` failed with is the cause; all else is a mistake in this module.
  Effect.catchTag(
    "MigrationError",
    (error) =>
      error.cause instanceof MigrationFailed || error.cause instanceof SqlError
        ? Effect.fail(error.cause)
        : Effect.die(error),
  ),
  // A connection that is lost in a transaction comes as a defect.
  Effect.catchDefect((defect) =>
    defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect)
  ),
)

/**
 * Applies a migration and enters it in both tables; gives back how long it took. `wait` bounds how long
 * a `CONCURRENTLY` waits for other transactions.
 */
export const applyMigration = Effect.fn("applyMigration")(
  function* (file: MigrationFile, wait: Duration.Duration) {
    yield* Ledger.ensure
    const enter = (duration: Duration.Duration) =>
      Effect.andThen(restore, Ledger.record(file, Duration.toMillis(duration)))
    if (file.noTransaction) {
      const [duration] = yield* Effect.timed(runStepwise(file, wait))
      yield* asMigration(file, Effect.andThen(enter(duration), forgetSteps(file.id)))
      return duration
    }
    let duration = Duration.zero
    yield* asMigration(
      file,
      Effect.gen(function* () {
        duration = (yield* Effect.timed(runInTransaction(file)))[0]
        yield* enter(duration)
      }),
    )
    return duration
  },
)
