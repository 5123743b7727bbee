/**
 * The command line of `deno task migrate`.
 *
 * What a command is asked for goes to stdout; progress and errors go to stderr, in a sentence or two.
 * Exit codes: 0 done or current, 1 error, 2 pending (`status --exit-code`).
 */
import { Effect, type Layer } from "effect"
import { Command } from "effect/cli"
import denoJson from "../../../deno.json" with { type: "json" }
import type { Migrator } from "../Migrator.ts"
import { create, lint } from "./CliAuthor.ts"
import { drift, status, verify } from "./CliInspect.ts"
import { report, StderrLogger } from "./CliOutput.ts"
import { baseline, grant, runUp, up, upFlags } from "./CliUp.ts"

/** The commands, on a database and a directory of migrations. */
export const make = <E, R>(migrator: Layer.Layer<Migrator, E, R>, directory: string) =>
  Command.make("migrate", upFlags, (flags) => Effect.provide(runUp(flags), migrator)).pipe(
    Command.withDescription(
      "Bring the database to the schema of this version. Without a subcommand: up",
    ),
    Command.withSubcommands([
      Command.provide(up, migrator),
      Command.provide(status, migrator),
      Command.provide(verify, migrator),
      Command.provide(drift, migrator),
      Command.provide(baseline, migrator),
      Command.provide(grant, migrator),
      create(directory),
      lint(directory),
    ]),
  )

/** Runs a command line; failures carry their exit code and have been reported. */
export const run = <E extends { readonly message: string }, R>(
  migrator: Layer.Layer<Migrator, E, R>,
  directory: string,
) =>
(args: ReadonlyArray<string>) =>
  Command.runWith(make(migrator, directory), { version: denoJson.version })(args).pipe(
    Effect.tapCause(report),
    Effect.provide(StderrLogger),
  )
