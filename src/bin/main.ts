/**
 * `deno task start`: the service, on the database of `DATABASE_URL` or on an embedded one.
 *
 * The V8 flags of the tasks keep what has been compiled. By default a pause of half a minute is enough
 * for V8 to drop optimized code, and thousands of requests after it are slower.
 */
import "../runtime/disableAsyncHooks.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { Effect, Layer } from "effect"
import { misspeltHere } from "../process/checkConfig.ts"
import { runAsAsked } from "../process/commandLine.ts"
import { runService } from "../process/runService.ts"
import * as Service from "../Service.ts"
import * as requirements from "./requirements.ts"

const warnings = Layer.effectDiscard(
  Effect.flatMap(
    misspeltHere,
    Effect.forEach((warning) => Effect.logWarning(warning), { discard: true }),
  ),
)

runAsAsked(Deno.args, {
  run: () => runService(Layer.provide(Service.layer, warnings)),
  requirements: [requirements.keys],
})
