/**
 * Commands for who writes migrations, without a database: `new` and `lint`.
 */
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Lint from "../Lint.ts"
import * as MigrationDirectory from "../MigrationDirectory.ts"
import * as Template from "../Template.ts"
import { jsonFlag, printFindings } from "./CliOutput.ts"

export const create = (directory: string) =>
  Command.make("new", {
    name: Argument.String("name").pipe(Argument.withDescription("What it does: add_user_phone")),
    concurrently: Flag.Boolean("concurrently").pipe(
      Flag.withDescription("For indexes on tables with rows: outside a transaction"),
      Flag.withDefault(false),
    ),
  }, ({ name, concurrently }) =>
    Effect.flatMap(
      Template.create(directory, name, concurrently),
      (file) => Console.log(`Created ${file}`),
    )).pipe(Command.withDescription("Write a new migration with the next number"))

export const lint = (directory: string) =>
  Command.make(
    "lint",
    { json: jsonFlag("{findings: [{file, line, rule, advice}]}") },
    (flags) =>
      Effect.gen(function* () {
        const files = yield* MigrationDirectory.read(directory)
        yield* printFindings({
          json: flags.json,
          name: "findings",
          findings: yield* Lint.run(directory, files),
          none: "No migration locks a large table.",
          some: "Mend these, or accept one with its reason and `-- squawk-ignore RULE` above the " +
            "statement.",
        })
      }),
  ).pipe(
    Command.withDescription("Look for what locks large tables or breaks the version before"),
  )
