/**
 * `deno task doctor`: examines the environment and the database of `DATABASE_URL`, or else the embedded
 * one under `DATA_DIR`.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import * as Cli from "../doctor/Cli.ts"

Cli.run(Deno.env.toObject())(Deno.args).pipe(
  Effect.provide(NodeServices.layer),
  (program) => NodeRuntime.runMain(program, { disableErrorReporting: true }),
)
