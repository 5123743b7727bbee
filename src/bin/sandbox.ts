/**
 * Prints the flags of `deno run` under which `deno task serve` runs in this environment.
 *
 * A shell cannot tell that a substituted command failed. So where the environment is wrong, this
 * prints flags under which the service finds that out by itself, says it, and exits 1.
 *
 * It may use the network itself, but only to look up a `HOST` that is a name. It may see all variables,
 * and the service only its own: so the names that look like slips are told here, on stderr.
 */
import { lookup } from "node:dns/promises"
import { isIP } from "node:net"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { variables } from "../config/Config.ts"
import { namesOf } from "../config/ConfigVariable.ts"
import { permissions, toReport } from "../config/Permissions.ts"
import { misspeltHere } from "../process/checkConfig.ts"
import { runMain } from "../process/runMain.ts"
import { load } from "../config/Settings.ts"
import { describeUnknown, environmentNames } from "../config/telemetry/unknownVariables.ts"

const namedFiles = variables.flatMap(namesOf)
  .filter((name) => name.endsWith("_FILE"))
  .flatMap((name) => Deno.env.get(name) ?? [])

/** What a name stands for; none where it is unknown, which the service finds out and says. */
const lookUp = (host: string) =>
  Effect.promise(() =>
    lookup(host, { all: true }).then(
      (found) => found.map(({ address }) => address),
      () => [],
    )
  )

const tellMisspelt = Effect.flatMap(
  misspeltHere,
  Effect.forEach((warning) => Console.error(`Warning: ${warning}`), { discard: true }),
)

load().pipe(
  Effect.flatMap((settings) =>
    Effect.map(
      isIP(settings.host) === 0 ? lookUp(settings.host) : Effect.succeed([]),
      (addressesOfHost) => permissions(settings, { namedFiles, addressesOfHost }),
    )
  ),
  Effect.tap(({ problems }) => Effect.forEach(problems, (problem) => Console.error(problem))),
  // Which the service does not get to see.
  Effect.tap(() =>
    Effect.forEach(describeUnknown(environmentNames()), (unknown) => Console.error(unknown))
  ),
  Effect.match({ onSuccess: ({ flags }) => flags, onFailure: () => toReport }),
  Effect.flatMap((flags) => Console.log(flags.join(" "))),
  Effect.andThen(tellMisspelt),
  Effect.provide(NodeServices.layer),
  runMain,
)
