/**
 * `deno task migrate`: migrates the database of `DATABASE_URL`, or else the embedded one under
 * `DATA_DIR`, which it starts and stops.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, Layer, Option } from "effect"
import { ConfigInvalid } from "../config/ConfigInvalid.ts"
import * as Database from "../database/Database.ts"
import { EmbeddedPostgres } from "../embedded/EmbeddedPostgres.ts"
import * as Cli from "../migrator/cli/Cli.ts"
import * as MigrationDirectory from "../migrator/MigrationDirectory.ts"
import { Migrator } from "../migrator/Migrator.ts"
import { Settings } from "../config/Settings.ts"

const Embedded = Layer.unwrap(
  EmbeddedPostgres.use(({ connection }) => Effect.succeed(Database.layer({ connection }))),
)

const MigratorLayer = Layer.unwrap(Effect.gen(function* () {
  const { database, dataDir } = yield* Settings
  if (Option.isNone(database)) {
    const server = EmbeddedPostgres.layer({ dataDir, durable: true })
    return Layer.provide(Migrator.layer, Layer.provide(Embedded, server))
  }
  const { parameters: connection, warnings } = database.value
  yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
  if (connection.pooler) {
    return yield* new ConfigInvalid({
      problems: ["DATABASE_URL leads through a pooler; migrations need a direct connection."],
    })
  }
  return Layer.provide(Migrator.layer, Database.layer({ connection }))
})).pipe(Layer.provide(Settings.layer))

MigrationDirectory.path.pipe(
  Effect.flatMap((directory) => Cli.run(MigratorLayer, directory)(Deno.args)),
  Effect.provide(NodeServices.layer),
  // With its own teardown: an interrupted migration was not applied, so its exit code is 130, not 0.
  (program) => NodeRuntime.runMain(program, { disableErrorReporting: true }),
)
