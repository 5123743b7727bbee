/**
 * `deno task serve`: the service on an external database only, in a sandbox.
 */
import "../runtime/disableAsyncHooks.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { Effect, Layer, Option } from "effect"
import { ConfigInvalid } from "../config/ConfigInvalid.ts"
import { runService } from "../process/runService.ts"
import * as Service from "../Service.ts"
import { Settings } from "../config/Settings.ts"

const requireDatabase = Settings.use(({ database }) =>
  Option.isSome(database) ? Effect.void : new ConfigInvalid({
    problems: [
      "DATABASE_URL or DATABASE_URL_FILE must be set: `deno task serve` brings no database of its " +
      "own; `deno task start` does.",
    ],
  })
)

runService(Layer.provide(Service.layer, Layer.effectDiscard(requireDatabase)))
