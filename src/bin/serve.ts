/**
 * `deno task serve`: the service on an external database only, in a sandbox.
 */
import "../runtime/disableAsyncHooks.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { Effect, Layer, Option } from "effect"
import { ConfigInvalid } from "../config/ConfigInvalid.ts"
import { Settings } from "../config/Settings.ts"
import { runAsAsked } from "../process/commandLine.ts"
import { runService } from "../process/runService.ts"
import * as Service from "../Service.ts"
import * as requirements from "./requirements.ts"

const requireDatabase = Settings.use(({ database }) =>
  Option.isSome(database)
    ? Effect.void
    : new ConfigInvalid({ problems: [requirements.databaseMissing] })
)

runAsAsked(Deno.args, {
  run: () => runService(Layer.provide(Service.layer, Layer.effectDiscard(requireDatabase))),
  requirements: [requirements.externalDatabase, requirements.keys],
})
