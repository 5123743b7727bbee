/**
 * A service that is nothing but its embedded server, for tests that kill it:
 *
 *     deno run -A test/support/embeddedService.ts DATA_DIR
 *
 * Prints "ready" when the server answers, then waits for a signal.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"

const program = Effect.gen(function* () {
  yield* EmbeddedPostgres
  yield* Console.log("ready")
  return yield* Effect.never
})

const [dataDir = ""] = Deno.args
NodeRuntime.runMain(
  Effect.provide(program, EmbeddedPostgres.layer({ dataDir, durable: true })),
)
