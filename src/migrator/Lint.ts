/**
 * Looks for what locks a large table or breaks the version before: squawk, a linter for PostgreSQL
 * migrations (https://squawkhq.com), with the rules that make sense here.
 *
 * A finding that is right for its case is accepted in the file, above the statement, with the reason:
 *
 *     -- The table has ten rows in every deployment.
 *     -- squawk-ignore require-concurrent-index-creation
 */
import { Array, Effect, Order, Path, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as ScriptRules from "./apply/ScriptRules.ts"
import type { MigrationFile } from "./MigrationFile.ts"

/** A statement that a rule objects to. */
export class LintFinding extends Schema.Class<LintFinding>("LintFinding")({
  file: Schema.String,
  line: Schema.Int,
  rule: Schema.String,
  /** What is wrong with it and what to do instead. */
  advice: Schema.String,
}) {
  get message() {
    return `migrations/${this.file}:${this.line}: ${this.advice} (${this.rule})`
  }
}

/** squawk didn't run, or said what it never says. */
export class LinterUnavailable
  extends Schema.TaggedError<LinterUnavailable>()("LinterUnavailable", {
    output: Schema.String,
  }) {
  override get message() {
    return `The linter squawk gave no report; \`deno install\` brings it. ${this.output}`.trim()
  }
}

const Report = Schema.fromJsonString(Schema.Array(Schema.Struct({
  file: Schema.String,
  /** Counted from 0. */
  line: Schema.Int,
  rule_name: Schema.String,
  message: Schema.String,
  help: Schema.NullOr(Schema.String),
})))

// The migrator sets lock_timeout, and lets a migration itself take as long as it needs. A file in a
// transaction leaves nothing behind to trip over, and one outside goes on where it stopped.
const excluded = ["require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts"]

/** Where `deno.json` is, which pins squawk's checksum. */
const projectRoot = Path.Path.use((path) =>
  Effect.orDie(path.fromFileUrl(new URL("../..", import.meta.url)))
)

const squawk = Effect.fnUntraced(function* (paths: ReadonlyArray<string>, inTransaction: boolean) {
  if (paths.length === 0) {
    return []
  }
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const output = yield* spawner.string(ChildProcess.make(Deno.execPath(), [
    "run",
    "--allow-all",
    "npm:squawk-cli@2.61.0",
    "--reporter=json",
    `--exclude=${excluded.join()}`,
    ...(inTransaction ? ["--assume-in-transaction"] : []),
    ...paths,
  ], { cwd: yield* projectRoot })).pipe(
    Effect.mapError((error) => new LinterUnavailable({ output: error.message })),
  )
  return yield* Effect.mapError(
    Schema.decodeEffect(Report)(output),
    () => new LinterUnavailable({ output }),
  )
})

/** Accepted findings that no comment above gives a reason for. */
const unreasoned = ({ file, script }: MigrationFile) =>
  script.split("\n").flatMap((line, index, lines) => {
    const above = lines[index - 1] ?? ""
    const reasoned = above.startsWith("--") && !above.includes("squawk-ignore")
    return !line.trimStart().startsWith("-- squawk-ignore") || reasoned ? [] : [
      new LintFinding({
        file,
        line: index + 1,
        rule: "ignore-without-reason",
        advice: "Say in a comment above why the finding is accepted.",
      }),
    ]
  })

/** What keeps a file from being applied. */
const inapplicable = (file: MigrationFile) =>
  ScriptRules.violations(file).map(({ line, problem }) =>
    new LintFinding({ file: file.file, line, rule: "cannot-be-applied", advice: problem })
  )

/** The findings in migrations, by file and line. Tables made in the same file are new: no finding. */
export const run = Effect.fn("Lint.run")(
  function* (directory: string, files: ReadonlyArray<MigrationFile>) {
    const path = yield* Path.Path
    const paths = (noTransaction: boolean) =>
      files.filter((file) => file.noTransaction === noTransaction)
        .map(({ file }) => path.join(directory, file))
    const reports = yield* Effect.all([squawk(paths(false), true), squawk(paths(true), false)])
    const found = reports.flat().map((finding) =>
      new LintFinding({
        file: path.basename(finding.file),
        line: finding.line + 1,
        rule: finding.rule_name,
        advice: finding.help === null ? finding.message : `${finding.message} ${finding.help}`,
      })
    )
    return Array.sortBy(
      Order.mapInput(Order.String, ({ file }: LintFinding) => file),
      Order.mapInput(Order.Number, ({ line }: LintFinding) => line),
    )([...found, ...files.flatMap(unreasoned), ...files.flatMap(inapplicable)])
  },
)
