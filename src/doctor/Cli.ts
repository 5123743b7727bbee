/**
 * The command line of `deno task doctor`.
 */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import denoJson from "../../deno.json" with { type: "json" }
import { count, Found, jsonFlag, print, report, StderrLogger } from "../migrator/cli/CliOutput.ts"
import { buildInfo } from "../process/buildInfo.ts"
import { examine } from "./examine.ts"
import { type Finding, groups, summaryOf } from "./Finding.ts"

const words = { ok: "ok     ", warning: "WARNING", error: "ERROR  ", skipped: "skipped" }

/** What was skipped for one reason, as one line. */
const linesOfSkipped = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  [...new Set(findings.map(({ seen }) => seen))].flatMap((reason) => {
    const alike = findings.filter(({ seen }) => seen === reason)
    return [
      `  ${words.skipped}  ${alike.map(({ name }) => name).join(", ")}: ${reason}`,
      ...alike.flatMap(({ advice }) => advice === null ? [] : [`           ${advice}`]),
    ]
  })

/** Lines for people: what is well takes one, what is not says what to do as well. */
const linesOf = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  groups.flatMap((group) => {
    const ofGroup = findings.filter((finding) => finding.group === group)
    if (ofGroup.length === 0) return []
    return [
      `${group[0]?.toUpperCase()}${group.slice(1)}`,
      ...ofGroup.filter(({ severity }) => severity !== "skipped").flatMap((finding) => [
        `  ${words[finding.severity]}  ${finding.name}: ${finding.seen}`,
        ...finding.advice === null ? [] : [`           ${finding.advice}`],
      ]),
      ...linesOfSkipped(ofGroup.filter(({ severity }) => severity === "skipped")),
      "",
    ]
  })

const doctor = (environment: Readonly<Record<string, string>>) =>
  Command.make("doctor", {
    json: jsonFlag(
      "{version, commit, summary: {ok, warning, error, skipped}, " +
        "findings: [{group, name, severity, seen, advice}]}",
    ),
  }, (flags) =>
    Effect.gen(function* () {
      const findings = yield* examine(environment)
      const summary = summaryOf(findings)
      const { commit, version } = buildInfo()
      yield* print(flags.json, { version, commit, summary, findings }, linesOf(findings))
      if (summary.error > 0) {
        const warnings = summary.warning === 0 ? "" : `, ${count(summary.warning, "warning")}`
        return yield* new Found({
          exitCode: 1,
          message: `${count(summary.error, "error")}${warnings}.`,
        })
      }
      if (summary.warning > 0) {
        return yield* new Found({ exitCode: 2, message: `${count(summary.warning, "warning")}.` })
      }
      if (!flags.json) yield* Console.log("All is well.")
    })).pipe(
      Command.withDescription(
        "Examine the environment and the database that it names, as the service would use them: " +
          "variables, keys, connection, server, rights, migrations, schema, vacuum, retention. Without " +
          "DATABASE_URL, the embedded database under DATA_DIR, which is started for the while. Run it in " +
          "the environment of the service. It changes nothing. Exit code 0: all is well; 1: errors; " +
          "2: warnings, and no errors.",
      ),
    )

/** Runs a command line; failures carry their exit code and have been reported. */
export const run =
  (environment: Readonly<Record<string, string>>) => (args: ReadonlyArray<string>) =>
    Command.runWith(doctor(environment), { version: denoJson.version })(args).pipe(
      Effect.tapCause(report),
      Effect.provide(StderrLogger),
    )
