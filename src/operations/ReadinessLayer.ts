/**
 * What the service needs of its database, at the start and each time that somebody asks whether it is
 * ready: rights, sessions, migrations.
 */
import { Effect, Layer } from "effect"
import { closingWithin } from "../background/closingWithin.ts"
import { ConnectionSource, layerSecondPool } from "../database/Database.ts"
import { DatabaseUnusable, requireUsable } from "../database/requireUsable.ts"
import { Migrator } from "../migrator/Migrator.ts"
import { Readiness, stopping, type Unready } from "./Readiness.ts"

const migrationReasons = {
  DatabaseAhead: "database-ahead",
  MigrationsPending: "migrations-pending",
  MigrationsTampered: "migrations-differ",
  MigrationsUnavailable: "database-unreachable",
} as const

/** The names of all reasons why the service may not be ready. */
export const reasons: ReadonlyArray<string> = [
  ...new Set([
    ...DatabaseUnusable.fields.reason.literals,
    ...Object.values(migrationReasons),
    stopping,
  ]),
].sort()

/** Fails with the first thing that keeps the service from its work. */
export const requireReady = Effect.gen(function* () {
  const migrator = yield* Migrator
  const missing = yield* requireUsable
  yield* migrator.requireCurrent
  // Somebody renamed or dropped what the ledger says is there.
  if (missing.length > 0) {
    return yield* new DatabaseUnusable({
      reason: "schema-differs",
      message: `The database lacks ${
        missing.map((name) => `public.${name}`).join(", ")
      }, although ` +
        "all migrations are applied; `deno task migrate drift` compares the schema.",
    })
  }
})

type NotUsable = Effect.Error<typeof requireReady>

/** Whether the database refuses writes, which may be over soon. */
export const isReadOnly = (error: NotUsable): boolean =>
  error._tag === "DatabaseUnusable" && error.reason === "database-read-only"

const asUnready = (error: NotUsable): Unready => ({
  reason: error._tag === "DatabaseUnusable" ? error.reason : migrationReasons[error._tag],
  message: error.message,
})

/**
 * On a connection of its own: that requests wait for theirs must not make all replicas unready at once.
 * The migrations are looked at as well: somebody may migrate while the service runs.
 */
export const ReadinessLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { replaceConnections } = yield* ConnectionSource
    return Readiness.layer(
      requireReady.pipe(
        Effect.mapError(asUnready),
        Effect.tapError(({ reason }) =>
          reason === "database-read-only" ? replaceConnections : Effect.void
        ),
        // Asked every few seconds, by probes.
        Effect.withTracerEnabled(false),
      ),
    )
  }),
).pipe(
  Layer.provide(Layer.fresh(Migrator.layer)),
  Layer.provide(
    closingWithin("The connection that readiness is asked on", layerSecondPool("readiness", 1)),
  ),
)
