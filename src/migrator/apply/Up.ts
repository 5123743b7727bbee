/**
 * Applies what is pending, one migration and one session at a time.
 */
import type { PgClient } from "@effect/sql-pg"
import { Clock, Duration, Effect, Schedule, Schema } from "effect"
import { isSqlError } from "effect/sql/SqlError"
import {
  compare,
  type Comparison,
  DatabaseAhead,
  MigrationsTampered,
  unrecorded,
} from "../Comparison.ts"
import * as Ledger from "../Ledger.ts"
import { isLockFailure, MigrationFailed } from "../MigrationFailed.ts"
import type { MigrationFile } from "../MigrationFile.ts"
import { applyMigration } from "./applyMigration.ts"
import * as ScriptRules from "./ScriptRules.ts"
import { acquireLock, MigrationLocked, withSession } from "./Session.ts"

/** No migration has the number that was asked for. */
export class MigrationUnknown extends Schema.TaggedError<MigrationUnknown>()("MigrationUnknown", {
  id: Schema.Int,
}) {
  override get message() {
    return `There is no migration ${this.id}; \`deno task migrate status\` lists those there are.`
  }
}

export interface UpOptions {
  /** The number of the last migration to apply; all by default. */
  readonly to?: number | undefined
  /** How long a statement may wait for a lock while others queue behind it; 5 seconds by default. */
  readonly lockTimeout?: Duration.Input | undefined
  /** How long to wait in all for other runs and for locks, each migration; 60 seconds by default. */
  readonly wait?: Duration.Input | undefined
}

/** A migration that was applied by this run. */
export interface Applied {
  readonly file: MigrationFile
  readonly duration: Duration.Duration
}

/** Whole milliseconds, for people and JSON. */
export const milliseconds = (duration: Duration.Duration) => Math.round(Duration.toMillis(duration))

/** How the database stands to the files; looks at the ledger alone, and so waits for no lock. */
export const standing = (files: ReadonlyArray<MigrationFile>) =>
  Effect.map(Ledger.entries, (entries) => compare(files, entries))

export const refuseTampered = ({ tampered }: Comparison) =>
  tampered.length === 0
    ? Effect.void
    : Effect.fail(new MigrationsTampered({ discrepancies: tampered }))

export const refuseAhead = ({ incompatible }: Comparison) =>
  incompatible.length === 0
    ? Effect.void
    : Effect.fail(new DatabaseAhead({ discrepancies: incompatible }))

/** All that is wrong: what `standing` finds, and what Effect's table contradicts. */
export const examine = Effect.fnUntraced(function* (files: ReadonlyArray<MigrationFile>) {
  const comparison = yield* standing(files)
  const stray = unrecorded(yield* Ledger.effectEntries, comparison.applied)
  return { ...comparison, tampered: [...comparison.tampered, ...stray] }
})

/** The files up to a number. */
export const upTo = Effect.fnUntraced(
  function* (files: ReadonlyArray<MigrationFile>, to: number | undefined) {
    return to === undefined || files.some(({ id }) => id === to)
      ? files.filter(({ id }) => id <= (to ?? id))
      : yield* new MigrationUnknown({ id: to })
  },
)

/** What `run` would apply; fails where it would refuse to begin. */
export const plan = Effect.fn("Up.plan")(
  function* (files: ReadonlyArray<MigrationFile>, to: number | undefined) {
    const wanted = yield* upTo(files, to)
    const comparison = yield* examine(files)
    yield* refuseTampered(comparison)
    yield* refuseAhead(comparison)
    const pending = comparison.pending.filter((file) => wanted.includes(file))
    yield* ScriptRules.check(pending)
    return pending
  },
)

/** Tries again at growing, uneven intervals, so that runs that were turned away don't meet again. */
const backoff = (wait: Duration.Duration) =>
  Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]).pipe(
    Schedule.jittered,
    Schedule.upTo({ duration: wait }),
  )

/** What held up a migration, if another try may succeed. */
const blockedBy = (error: { readonly _tag: string }) => {
  if (error instanceof MigrationFailed && isLockFailure(error.sqlState)) {
    return `Other sessions held a lock that migrations/${error.file} needs`
  }
  return isSqlError(error) && ["LockTimeoutError", "DeadlockError"].includes(error.reason._tag)
    ? "Another session held a lock on the migrations' own tables"
    : undefined
}

/** Runs an effect on a session of its own that holds the migrations' lock, as often as it takes. */
export const exclusively = (
  client: PgClient.PgClient,
  lockTimeout: Duration.Duration,
  wait: Duration.Duration,
) =>
  Effect.fnUntraced(
    function* <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) {
      const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(wait)
      const remaining = Effect.map(
        Clock.currentTimeMillis,
        (now) => Duration.millis(Math.max(0, deadline - now)),
      )
      return yield* Effect.flatMap(remaining, acquireLock).pipe(
        Effect.andThen(effect),
        withSession(client, lockTimeout),
        Effect.retry({
          schedule: backoff(wait),
          while: (error) => blockedBy(error) !== undefined,
        }),
        Effect.mapError((error) => {
          const reason = error instanceof MigrationLocked ? error.reason : blockedBy(error)
          return reason === undefined ? error : new MigrationLocked({ waited: wait, reason })
        }),
      )
    },
  )

/** Applies what is pending, in order, and gives back what it applied. */
export const run = Effect.fn("Up.run")(function* (
  client: PgClient.PgClient,
  files: ReadonlyArray<MigrationFile>,
  options: UpOptions,
) {
  const wanted = yield* upTo(files, options.to)
  const wait = Duration.fromInputUnsafe(options.wait ?? "60 seconds")
  const lockTimeout = Duration.fromInputUnsafe(options.lockTimeout ?? "5 seconds")
  const applyNext = Effect.gen(function* () {
    const [file] = yield* plan(files, options.to)
    return file === undefined ? [] : [{ file, duration: yield* applyMigration(file, wait) }]
  }).pipe(exclusively(client, lockTimeout, wait))
  const applied: Array<Applied> = []
  // A database that is current is left alone: that takes no lock, and no right to write.
  for (
    let comparison = yield* standing(files);
    comparison.pending.some((file) => wanted.includes(file));
    comparison = yield* standing(files)
  ) {
    for (const one of yield* applyNext) {
      yield* Effect.logInfo(
        `Applied migrations/${one.file.file} in ${milliseconds(one.duration)} ms`,
      )
      applied.push(one)
    }
  }
  const comparison = yield* standing(files)
  yield* refuseTampered(comparison)
  yield* refuseAhead(comparison)
  return applied
})
