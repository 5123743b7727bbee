/**
 * What a migration must not be, found before any of it runs: files that do nothing, and statements of
 * a `-- no-transaction` file that a run could not go on from after it was killed.
 */
import { Array, Effect } from "effect"
import { type MigrationFile, MigrationFileInvalid } from "../MigrationFile.ts"
import { type Statement, statements } from "../StatementScanner.ts"
import * as ConcurrentIndex from "./ConcurrentIndex.ts"

export interface Violation {
  /** Line in the file, from 1. */
  readonly line: number
  /** What is wrong and what to do instead, as a clause. */
  readonly problem: string
}

const transactionControl =
  /^(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE TRANSACTION)\b/

/** What is wrong with a statement that is committed by itself. */
const problemOf = (statement: Statement): string | undefined => {
  const words = statement.tokens.map(({ text }) => text.toUpperCase()).join(" ")
  if (transactionControl.test(words)) {
    return "each statement of a -- no-transaction file is committed by itself; put statements that " +
      "belong together into a file without that line"
  }
  if (/^DISCARD\b/.test(words)) {
    return "DISCARD gives up the lock that keeps other runs away; use RESET"
  }
  if (/^CREATE (UNIQUE )?INDEX CONCURRENTLY\b/.test(words)) {
    return ConcurrentIndex.parse(statement) === undefined
      ? "give the index a name, by which a run that goes on after a failure finds it"
      : undefined
  }
  return /^DROP INDEX CONCURRENTLY (?!IF EXISTS\b)/.test(words)
    ? "write DROP INDEX CONCURRENTLY IF EXISTS: a run that goes on after a failure may repeat it"
    : undefined
}

/** Everything that is wrong with a file. */
export const violations = (file: MigrationFile): ReadonlyArray<Violation> => {
  const found = statements(file.script)
  if (found.length === 0) {
    return [{ line: 1, problem: "it holds no statement; write one or delete the file" }]
  }
  return !file.noTransaction ? [] : found.flatMap((statement) => {
    const problem = problemOf(statement)
    return problem === undefined ? [] : [{ line: statement.line, problem }]
  })
}

/** Fails with the first thing that is wrong with any of the files. */
export const check = (files: ReadonlyArray<MigrationFile>) =>
  Effect.gen(function* () {
    const [first] = Array.flatMap(
      files,
      (file) => violations(file).map((violation) => ({ file: file.file, ...violation })),
    )
    if (first !== undefined) {
      return yield* new MigrationFileInvalid({
        file: first.file,
        problem: `can't be applied (line ${first.line}): ${first.problem}. Nothing was applied`,
      })
    }
  })
