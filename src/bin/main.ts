/**
 * `deno task start`: the service, on the database of `DATABASE_URL` or on an embedded one.
 *
 * The V8 flags of the tasks keep what has been compiled. By default a pause of half a minute is enough
 * for V8 to drop optimized code, and thousands of requests after it are slower.
 */
import "../runtime/disableAsyncHooks.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { runService } from "../process/runService.ts"
import * as Service from "../Service.ts"

runService(Service.layer)
