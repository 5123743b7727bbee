/**
 * `migrate` on a directory of its own, as a process that tests can start many times and kill:
 *
 *     DATABASE_URL=… deno run -A test/migrator/migrateDirectory.ts DIRECTORY up …
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, Layer, Option } from "effect"
import { Settings } from "../../src/config/Settings.ts"
import * as Database from "../../src/database/Database.ts"
import * as Cli from "../../src/migrator/cli/Cli.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"

const [directory = "", ...args] = Deno.args

const MigratorLayer = Migrator.layerFrom(directory).pipe(
  Layer.provide(
    Layer.unwrap(
      Settings.use(({ database }) =>
        Effect.succeed(Database.layer({ connection: Option.getOrThrow(database).parameters }))
      ),
    ),
  ),
  Layer.provide(Settings.layer),
)

Cli.run(MigratorLayer, directory)(args).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain,
)
