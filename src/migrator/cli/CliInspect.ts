/**
 * Commands that look and change nothing: `status`, `verify` and `drift`.
 */
import { DateTime, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { label } from "../Comparison.ts"
import * as Catalogue from "../inspect/Catalogue.ts"
import { Migrator } from "../Migrator.ts"
import { count, Found, jsonFlag, print, printFindings } from "./CliOutput.ts"

export const status = Command.make("status", {
  json: jsonFlag(
    "{current, applied: [{id, name, appliedAt, durationMs, version}], pending: [{id, name}], " +
      "problems: [{kind, id, name, message}]}",
  ),
  exitCode: Flag.Boolean("exit-code").pipe(
    Flag.withDescription(
      "Exit with 2 if migrations are pending, with 1 if files and database contradict each other",
    ),
    Flag.withDefault(false),
  ),
}, (flags) =>
  Effect.gen(function* () {
    const { applied, pending, tampered, ahead } = yield* (yield* Migrator).status
    const problems = [...tampered, ...ahead]
    yield* print(
      flags.json,
      {
        current: pending.length === 0 && problems.length === 0,
        applied: applied.map(({ id, name, appliedAt, durationMs, version }) => ({
          id,
          name,
          appliedAt: DateTime.formatIso(appliedAt),
          durationMs,
          version,
        })),
        pending: pending.map(({ id, name }) => ({ id, name })),
        problems,
      },
      [
        ...applied.map(({ id, name, appliedAt }) =>
          `applied  ${label(id, name)}  ${DateTime.formatIso(appliedAt)}`
        ),
        ...pending.map(({ id, name }) => `pending  ${label(id, name)}`),
        ...problems.map(({ message }) => `problem  ${message}`),
      ],
    )
    if (flags.exitCode && problems.length > 0) {
      return yield* new Found({
        exitCode: 1,
        message: `${count(problems.length, "problem")}; \`deno task migrate verify\` explains.`,
      })
    }
    if (flags.exitCode && pending.length > 0) {
      return yield* new Found({
        exitCode: 2,
        message: `${count(pending.length, "migration")} pending; run \`deno task migrate\`.`,
      })
    }
  })).pipe(Command.withDescription("List applied and pending migrations"))

export const verify = Command.make("verify", {
  json: jsonFlag("{problems: [{kind, id, name, message}]}"),
}, (flags) =>
  Effect.gen(function* () {
    const problems = yield* (yield* Migrator).verify
    yield* printFindings({
      json: flags.json,
      name: "problems",
      findings: problems,
      none: "Files and database agree.",
      some: problems.every(({ kind }) => kind === "sequenceBehind")
        ? "Files and database agree; the rows do not agree with the sequences."
        : "Files and database contradict each other; nothing will be applied until they agree.",
    })
  })).pipe(
    Command.withDescription(
      "Look for applied migrations that were edited, renamed or deleted, numbers below the latest " +
        "applied one, migrations that this version doesn't know, and sequences that are behind " +
        "their column; exit with 1 for any",
    ),
    Command.withShortDescription("Check files against what was applied"),
  )

export const drift = Command.make("drift", {
  json: jsonFlag("{differences: [{kind, name, expected, actual, problem?}]}"),
}, (flags) =>
  Effect.gen(function* () {
    yield* printFindings({
      json: flags.json,
      name: "differences",
      findings: yield* (yield* Migrator).drift,
      none: "The schema is what the applied migrations make. Not compared: " +
        `${Catalogue.leftOut}.`,
      some: "The schema was changed by other means; put what is right into a migration.",
    })
  })).pipe(
    Command.withDescription(
      "Compare the schema with what the applied migrations make: tables, columns, constraints and " +
        "whether they are enforced, indexes, triggers, rules, policies, views, types, functions, " +
        "operators and sequences with their positions. That takes the owner of the database and " +
        `changes nothing; exit with 1 for any difference. Not compared: ${Catalogue.leftOut}.`,
    ),
    Command.withShortDescription("Compare the schema with the migrations"),
  )
