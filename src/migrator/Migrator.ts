/**
 * Brings a database to the schema of this code, and tells whether it is there.
 *
 * Built on Effect's migrator: its table, its lock and its transaction, one migration at a time, so
 * that each either is in the database with its entry in the ledger, or not at all. Migrations run on
 * connections of their own, opened with the settings of the `PgClient`; they need a direct connection,
 * since a pooler in transaction mode has no sessions to lock.
 */
import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Array, Context, Duration, Effect, Layer, Metric } from "effect"
import { SqlClient } from "effect/sql"
import type { IndexInvalid } from "./apply/ConcurrentIndex.ts"
import * as ScriptRules from "./apply/ScriptRules.ts"
import { type MigrationLocked, type SessionUnfit, withSession } from "./apply/Session.ts"
import * as Up from "./apply/Up.ts"
import {
  type Comparison,
  type DatabaseAhead,
  Discrepancy,
  MigrationsPending,
  type MigrationsTampered,
} from "./Comparison.ts"
import * as Grant from "./Grant.ts"
import * as Baseline from "./inspect/Baseline.ts"
import * as Drift from "./inspect/Drift.ts"
import * as Sequences from "./inspect/Sequences.ts"
import * as MigrationDirectory from "./MigrationDirectory.ts"
import type { MigrationFailed } from "./MigrationFailed.ts"
import type { MigrationFile, MigrationFileInvalid } from "./MigrationFile.ts"
import { explained, type MigrationsUnavailable } from "./MigrationsUnavailable.ts"

/** Why a database is not fit for this code. */
export type Unfit = MigrationsTampered | MigrationsPending | DatabaseAhead

export class Migrator extends Context.Service<Migrator, {
  /** The migrations of this code by ascending number. */
  readonly files: ReadonlyArray<MigrationFile>
  /**
   * Applies what is pending, in order, and gives back what it applied. Any number of runs may start at
   * once: each migration is applied by one, and the others find it done.
   */
  up(options?: Up.UpOptions): Effect.Effect<
    ReadonlyArray<Up.Applied>,
    | MigrationFailed
    | MigrationFileInvalid
    | MigrationLocked
    | Up.MigrationUnknown
    | IndexInvalid
    | MigrationsTampered
    | DatabaseAhead
    | SessionUnfit
    | MigrationsUnavailable
  >
  /** What `up` would apply; fails where `up` would refuse to begin. Changes nothing. */
  plan(options?: Pick<Up.UpOptions, "to">): Effect.Effect<
    ReadonlyArray<MigrationFile>,
    | MigrationFileInvalid
    | MigrationsTampered
    | DatabaseAhead
    | MigrationsUnavailable
    | Up.MigrationUnknown
  >
  /** How the database stands to the files. Changes nothing and waits for no lock. */
  readonly status: Effect.Effect<Comparison, MigrationsUnavailable>
  /**
   * Every contradiction between files, ledger and Effect's table, and every sequence that would give
   * values twice; none in a sound database.
   */
  readonly verify: Effect.Effect<ReadonlyArray<Discrepancy>, MigrationsUnavailable>
  /** How the schema differs from what the applied migrations make. Changes nothing. */
  readonly drift: Effect.Effect<
    ReadonlyArray<Drift.Difference>,
    MigrationFailed | MigrationsTampered | SessionUnfit | MigrationsUnavailable
  >
  /** Records the migrations up to a number as applied, if the schema is what they make. */
  baseline(to: number): Effect.Effect<
    Baseline.Adopted,
    | Baseline.AlreadyManaged
    | Baseline.SchemaDiffers
    | MigrationFailed
    | MigrationFileInvalid
    | MigrationLocked
    | Up.MigrationUnknown
    | SessionUnfit
    | MigrationsUnavailable
  >
  /**
   * Fails unless this code may run on the database: every migration applied as it is here, and newer
   * ones only if they say that they are compatible. Two small queries: cheap enough for `/readyz`.
   */
  readonly requireCurrent: Effect.Effect<void, Unfit | MigrationsUnavailable>
  /** Lets a role serve: rows of the three tables, no changes of the schema. */
  /** Gives back what the role can do beyond serving, a sentence each. */
  readonly grant: (
    role: string,
  ) => Effect.Effect<
    ReadonlyArray<string>,
    Grant.RoleUnknown | Grant.NotMigrated | MigrationsUnavailable
  >
}>()("latchkey/migrator/Migrator") {
  /** Of the migrations in a directory, which is read once. */
  static readonly layerFrom = (directory: string) =>
    Layer.effect(Migrator, make(directory)).pipe(
      Layer.provide([NodeFileSystem.layer, NodePath.layer]),
    )

  /** Of the migrations that belong to this code. */
  static readonly layer: Layer.Layer<
    Migrator,
    MigrationFileInvalid | MigrationDirectory.MigrationDirectoryUnusable,
    PgClient.PgClient
  > = Layer.unwrap(Effect.map(MigrationDirectory.path, Migrator.layerFrom)).pipe(
    Layer.provide(NodePath.layer),
  )
}

const version = Metric.gauge("migration_version", {
  description: "Number of the latest migration that the database has",
})

const refusePending = ({ pending }: Comparison) => {
  const files = pending.map(({ file }) => file)
  return Array.isReadonlyArrayNonEmpty(files)
    ? Effect.fail(new MigrationsPending({ pending: files }))
    : Effect.void
}

const make = Effect.fnUntraced(function* (directory: string) {
  const files = yield* MigrationDirectory.read(directory)
  const client = yield* PgClient.PgClient
  const onClient = Effect.provideService(SqlClient.SqlClient, client.withoutTransforms())
  const lockTimeout = Duration.seconds(5)
  const wait = Duration.seconds(60)

  const standing = onClient(Up.standing(files))

  const verify = onClient(Effect.gen(function* () {
    const { ahead, tampered } = yield* Up.examine(files)
    const sequences = (yield* Sequences.behind).map(({ message, sequence }) =>
      new Discrepancy({ kind: "sequenceBehind", id: null, name: sequence, message })
    )
    return [...tampered, ...ahead, ...sequences]
  })).pipe(
    explained,
    Effect.withSpan("Migrator.verify"),
  )

  const drift = standing.pipe(
    Effect.tap(Up.refuseTampered),
    Effect.flatMap(({ pending }) => Drift.find(files.filter((file) => !pending.includes(file)))),
    withSession(client, lockTimeout),
    explained,
    Effect.withSpan("Migrator.drift"),
  )

  const requireCurrent = standing.pipe(
    Effect.tap(({ applied }) =>
      Metric.update(version, Math.max(0, ...applied.map(({ id }) => id)))
    ),
    Effect.tap(Up.refuseTampered),
    Effect.tap(Up.refuseAhead),
    Effect.flatMap(refusePending),
    explained,
    Effect.withSpan("Migrator.requireCurrent"),
  )

  return Migrator.of({
    files,
    status: explained(standing).pipe(Effect.withSpan("Migrator.status")),
    verify,
    drift,
    requireCurrent,
    up: Effect.fn("Migrator.up")(
      (options = {}) => Up.run(client, files, options),
      onClient,
      explained,
    ),
    plan: Effect.fn("Migrator.plan")(({ to } = {}) => Up.plan(files, to), onClient, explained),
    grant: Effect.fn("Migrator.grant")(Grant.grant, onClient, explained),
    baseline: Effect.fn("Migrator.baseline")((to) =>
      Up.upTo(files, to).pipe(
        Effect.tap(ScriptRules.check),
        Effect.flatMap(Baseline.adopt),
        Up.exclusively(client, lockTimeout, wait),
      ), explained),
  })
})
