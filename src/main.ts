/**
 * `deno task start`: the service, on the database of `DATABASE_URL` or on an embedded one.
 *
 * The V8 flags of the tasks keep what has been compiled. By default a pause of half a minute is enough
 * for V8 to drop optimized code, and thousands of requests after it are slower.
 */
import "./withoutAsyncContext.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { NodeServices } from "@effect/platform-node"
import { Layer } from "effect"
import * as Observability from "./Observability.ts"
import { runMain } from "./runMain.ts"
import * as Service from "./Service.ts"
import { Settings } from "./Settings.ts"

Service.layer.pipe(
  Layer.provide(Observability.layer),
  Layer.provide(Settings.layer),
  Layer.provide(NodeServices.layer),
  Layer.launch,
  runMain,
)
