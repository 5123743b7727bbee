/**
 * Compares the schema of a database with the one that the migrations make.
 *
 * The migrations run into an empty schema named `public`, made for the moment in the same database:
 * the live one is renamed, read, and all of it rolled back. No one else sees any of it, no lock of a
 * table is taken, and nothing can be left behind. A scratch database would do as well, but wants the
 * right to create databases, which a service's role rarely has; this wants no more than the owner of
 * the database, who applies the migrations as well. A scratch schema under another name would not do:
 * migrations may name `public`.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { runInTransaction } from "../apply/runInTransaction.ts"
import { restore } from "../apply/Session.ts"
import { discarding } from "../discarding.ts"
import { MigrationFile } from "../MigrationFile.ts"
import { statements } from "../StatementScanner.ts"
import * as Catalogue from "./Catalogue.ts"
import type { CatalogueEntry } from "./Catalogue.ts"
import * as Sequences from "./Sequences.ts"

/** A definition on one line, after what leads to it; nothing where there is none to show. */
const inLine = (lead: string, definition: string | null) =>
  definition === null || definition === "" ? "" : lead + definition.trim().replace(/\s+/g, " ")

/** One object that is not as the migrations make it. */
export class Difference extends Schema.Class<Difference>("Difference")({
  kind: Schema.String,
  name: Schema.String,
  /** As the migrations make it; null if they don't. */
  expected: Schema.NullOr(Schema.String),
  /** As it is; null if it isn't there. */
  actual: Schema.NullOr(Schema.String),
  /** What is wrong and what to do, where the definitions alone don't say it. */
  problem: Schema.optionalKey(Schema.String),
}) {
  /** The difference in words. */
  get message() {
    if (this.problem !== undefined) {
      return this.problem
    }
    const object = `${this.kind} ${this.name}`
    if (this.actual === null) {
      return `${object} is missing${inLine(": ", this.expected)}`
    }
    return this.expected === null
      ? `${object} is there, but not in the migrations${inLine(": ", this.actual)}`
      : `${object} differs: the migrations make${inLine(" ", this.expected)}; the database has` +
        inLine(" ", this.actual)
  }
}

const blank = (script: string, start: number, end: number) =>
  script.slice(0, start) + script.slice(start, end).replace(/[^\n]/g, " ") + script.slice(end)

/**
 * A `-- no-transaction` file in words that a transaction takes: an empty table needs no concurrent
 * build and no VACUUM. Blanks take the place of what goes, so that line numbers stay.
 */
const transactional = (file: MigrationFile) => {
  const superfluous = statements(file.script).flatMap(({ tokens, start, text }) =>
    /^(VACUUM|REINDEX|ANALYZE)\b/i.test(text)
      ? [{ start, end: start + text.length }]
      : tokens.filter((token) => token.text.toUpperCase() === "CONCURRENTLY")
  )
  return new MigrationFile({
    ...file,
    script: superfluous.reduce((script, { start, end }) => blank(script, start, end), file.script),
  })
}

const rebuilt = Effect.fnUntraced(function* (files: ReadonlyArray<MigrationFile>) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER SCHEMA public RENAME TO latchkey_live`
  yield* sql`CREATE SCHEMA public`
  for (const file of files) {
    yield* restore
    yield* runInTransaction(file.noTransaction ? transactional(file) : file)
  }
  return yield* Catalogue.read
})

const difference = (
  expected: CatalogueEntry | undefined,
  actual: CatalogueEntry | undefined,
): ReadonlyArray<Difference> => {
  const entry = expected ?? actual
  return entry === undefined || expected?.definition === actual?.definition ? [] : [
    new Difference({
      kind: entry.kind,
      name: entry.name,
      expected: expected?.definition ?? null,
      actual: actual?.definition ?? null,
    }),
  ]
}

const key = ({ kind, name }: CatalogueEntry) => `${kind} ${name}`

/** Whether an object belongs to a table that is missing or superfluous as a whole. */
const isPart = ({ name }: Difference, tables: ReadonlySet<string>) =>
  name.includes(".") && tables.has(name.slice(0, name.indexOf(".")))

/** The differences between two catalogues, by kind and name. */
export const compare = (
  expected: ReadonlyArray<CatalogueEntry>,
  actual: ReadonlyArray<CatalogueEntry>,
): ReadonlyArray<Difference> => {
  const expectedOf = new Map(expected.map((entry) => [key(entry), entry]))
  const actualOf = new Map(actual.map((entry) => [key(entry), entry]))
  const differences = [...new Set([...expectedOf.keys(), ...actualOf.keys()])].sort()
    .flatMap((key) => difference(expectedOf.get(key), actualOf.get(key)))
  const tables = new Set(
    differences
      .filter(({ kind }) => kind === "table")
      .filter(({ actual, expected }) => actual === null || expected === null)
      .map(({ name }) => name),
  )
  return differences.filter((difference) => !isPart(difference, tables))
}

const positionDifference = (behind: Sequences.SequenceBehind) =>
  new Difference({
    kind: "sequence position",
    name: behind.sequence,
    expected: `above ${behind.greatest}`,
    actual: behind.next,
    problem: behind.message,
  })

/**
 * How the schema differs from what `files` make of an empty one, and which sequences are behind. Wants a
 * session of its own, as the owner of the database; changes nothing.
 */
export const find = Effect.fn("Drift.find")(function* (files: ReadonlyArray<MigrationFile>) {
  const differences = yield* discarding(Effect.gen(function* () {
    const actual = yield* Catalogue.read
    return compare(yield* rebuilt(files), actual)
  }))
  return [...differences, ...(yield* Sequences.behind).map(positionDifference)]
})
