/**
 * Commands that change the database: what it has on record (`up`, `baseline`), and what a role may
 * do (`grant`).
 */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { duration } from "../../config/ConfigSchemas.ts"
import { milliseconds } from "../apply/Up.ts"
import { Migrator } from "../Migrator.ts"
import { count, jsonFlag, print } from "./CliOutput.ts"

const time = (name: string, byDefault: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withSchema(duration),
    Flag.withMetavar("time"),
    Flag.withDescription(`${description}, such as 500ms or 2m (default ${byDefault})`),
    Flag.optional,
  )

export const upFlags = {
  to: Flag.Int("to").pipe(
    Flag.withMetavar("number"),
    Flag.withDescription("Apply no migration after this one"),
    Flag.optional,
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDescription("Only print the SQL that would be applied"),
    Flag.withDefault(false),
  ),
  lockTimeout: time("lock-timeout", "5s", "How long a statement may wait for a lock"),
  wait: time("wait", "60s", "How long to wait in all for locks and for other runs"),
  json: jsonFlag("{applied: [{id, name, durationMs}]}, or for a dry run {pending: [{id, name}]}"),
}

export const runUp = Effect.fnUntraced(function* (
  flags: Command.Command.Config.Infer<typeof upFlags>,
) {
  const migrator = yield* Migrator
  const to = Option.getOrUndefined(flags.to)
  if (flags.dryRun) {
    const files = yield* migrator.plan({ to })
    return yield* print(
      flags.json,
      { pending: files.map(({ id, name }) => ({ id, name })) },
      files.length === 0
        ? ["Nothing to apply."]
        : files.map(({ file, script }) =>
          `-- Would apply migrations/${file}:\n${script.trimEnd()}`
        ),
    )
  }
  const applied = yield* migrator.up({
    to,
    lockTimeout: Option.getOrUndefined(flags.lockTimeout),
    wait: Option.getOrUndefined(flags.wait),
  })
  yield* print(
    flags.json,
    {
      applied: applied.map(({ file, duration }) => ({
        id: file.id,
        name: file.name,
        durationMs: milliseconds(duration),
      })),
    },
    [applied.length === 0 ? "Nothing to apply." : `Applied ${count(applied.length, "migration")}.`],
  )
})

export const up = Command.make("up", upFlags, runUp).pipe(
  Command.withDescription(
    "Apply pending migrations in order. Any number of runs may start at once: one applies, the " +
      "others wait for it.",
  ),
  Command.withShortDescription("Apply pending migrations (the default)"),
)

export const baseline = Command.make("baseline", {
  to: Argument.Int("number").pipe(
    Argument.withDescription("The last migration that the schema already has"),
  ),
}, ({ to }) =>
  Effect.gen(function* () {
    const { files, alembic } = yield* (yield* Migrator).baseline(to)
    yield* Console.log(`Recorded ${count(files.length, "migration")} as applied.`)
    if (alembic) {
      yield* Console.log(
        "Alembic's table alembic_version was left in place; drop it when you like.",
      )
    }
  })).pipe(
    Command.withDescription(
      "Adopt a database whose schema was made by other means, such as Alembic: check as drift does " +
        "that it is what migrations 1 to NUMBER make, and record them as applied",
    ),
    Command.withShortDescription("Adopt a database that has the schema already"),
  )

export const grant = Command.make("grant", {
  role: Argument.String("role").pipe(
    Argument.withDescription("The role that the service signs in as"),
  ),
}, ({ role }) =>
  Effect.gen(function* () {
    const excess = yield* (yield* Migrator).grant(role)
    yield* Console.log(
      excess.length === 0
        ? `The role ${role} may now read and write rows, and cannot change the schema.`
        : [
          `The role ${role} may now read and write rows. It can do more than the service needs:`,
          ...excess.map((sentence) => `- ${sentence}.`),
        ].join("\n"),
    )
  })).pipe(
    Command.withDescription(
      "Grant a role what the service needs and no more: the rows of its tables. Again after a " +
        "migration that adds a table",
    ),
    Command.withShortDescription("Let a role serve without owning the schema"),
  )
