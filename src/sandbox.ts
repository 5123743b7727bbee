/**
 * Prints the flags of `deno run` under which `deno task serve` runs in this environment.
 *
 * A shell cannot tell that a substituted command failed. So where the environment is wrong, this
 * prints flags under which the service finds that out by itself, says it, and exits 1.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { variables } from "./Config.ts"
import { namesOf } from "./config/ConfigVariable.ts"
import { permissions, toReport } from "./Permissions.ts"
import { runMain } from "./runMain.ts"
import { load } from "./Settings.ts"

const namedFiles = variables.flatMap(namesOf)
  .filter((name) => name.endsWith("_FILE"))
  .flatMap((name) => Deno.env.get(name) ?? [])

load().pipe(
  Effect.map((settings) => permissions(settings, namedFiles)),
  Effect.tap(({ problems }) => Effect.forEach(problems, (problem) => Console.error(problem))),
  Effect.match({ onSuccess: ({ flags }) => flags, onFailure: () => toReport }),
  Effect.flatMap((flags) => Console.log(flags.join(" "))),
  Effect.provide(NodeServices.layer),
  runMain,
)
