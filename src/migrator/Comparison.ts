/**
 * How a database stands to the migrations of this code.
 */
import { Schema } from "effect"
import type { LedgerEntry } from "./Ledger.ts"
import type { MigrationFile } from "./MigrationFile.ts"

/** A way in which files, ledger and rows contradict each other. */
export class Discrepancy extends Schema.Class<Discrepancy>("Discrepancy")({
  kind: Schema.Literals([
    "edited",
    "renamed",
    "missing",
    "outOfOrder",
    "ahead",
    "unrecorded",
    "sequenceBehind",
  ]),
  /** Of the migration; null for what is not about one. */
  id: Schema.NullOr(Schema.Int),
  /** Of the migration or the sequence. */
  name: Schema.String,
  /** What is wrong and what to do, in a sentence or two. */
  message: Schema.String,
}) {}

/** Migrations that have been applied no longer are what they were. */
export class MigrationsTampered
  extends Schema.TaggedError<MigrationsTampered>()("MigrationsTampered", {
    discrepancies: Schema.Array(Discrepancy),
  }) {
  override get message() {
    return this.discrepancies.map(({ message }) => message).join("\n")
  }
}

/** The code needs migrations that the database doesn't have. */
export class MigrationsPending
  extends Schema.TaggedError<MigrationsPending>()("MigrationsPending", {
    /** File names. */
    pending: Schema.NonEmptyArray(Schema.String),
  }) {
  override get message() {
    return `The database lacks ${this.pending.join(", ")}; run \`deno task migrate\`.`
  }
}

/** The database has migrations that this code doesn't know and that weren't made for it. */
export class DatabaseAhead extends Schema.TaggedError<DatabaseAhead>()("DatabaseAhead", {
  discrepancies: Schema.Array(Discrepancy),
}) {
  override get message() {
    return this.discrepancies.map(({ message }) => message).join("\n")
  }
}

export interface Comparison {
  /** Applied migrations, as the ledger has them. */
  readonly applied: ReadonlyArray<LedgerEntry>
  /** Files that are not applied, by ascending number. */
  readonly pending: ReadonlyArray<MigrationFile>
  /** What must not be: `up` refuses to go on. */
  readonly tampered: ReadonlyArray<Discrepancy>
  /** Applied migrations that are newer than the code. */
  readonly ahead: ReadonlyArray<Discrepancy>
  /** Those of `ahead` that don't declare that this code may keep running. */
  readonly incompatible: ReadonlyArray<Discrepancy>
}

/** `0002_name`, as its file is called. */
export const label = (id: number, name: string) => `${String(id).padStart(4, "0")}_${name}`

const checkFile = (
  file: MigrationFile,
  entry: LedgerEntry | undefined,
  latest: LedgerEntry | undefined,
) => {
  const found = (kind: Discrepancy["kind"], message: string) => [
    new Discrepancy({ kind, id: file.id, name: file.name, message }),
  ]
  if (entry === undefined) {
    return latest === undefined || file.id > latest.id ? [] : found(
      "outOfOrder",
      `${file.file} is not applied, but ${label(latest.id, latest.name)} is. ` +
        "Give it the next free number.",
    )
  }
  const renamed = entry.name === file.name ? [] : found(
    "renamed",
    `${file.file} was applied as ${label(entry.id, entry.name)}. Give it that name again.`,
  )
  const edited = entry.sha256 === file.sha256 ? [] : found(
    "edited",
    `${file.file} was edited after it had been applied. ` +
      "Restore it (git log shows how it was) and put the change into a new migration.",
  )
  return [...renamed, ...edited]
}

/** Compares the files of this code with the ledger of a database. */
export const compare = (
  files: ReadonlyArray<MigrationFile>,
  entries: ReadonlyArray<LedgerEntry>,
): Comparison => {
  const entryOf = new Map(entries.map((entry) => [entry.id, entry]))
  const known = new Set(files.map((file) => file.id))
  const newest = files.at(-1)?.id ?? 0
  const unknown = entries.filter((entry) => !known.has(entry.id))
  const ahead = unknown.filter((entry) => entry.id > newest)
  const aheadMessage = (entry: LedgerEntry) =>
    new Discrepancy({
      kind: "ahead",
      id: entry.id,
      name: entry.name,
      message: `The database has ${label(entry.id, entry.name)}, applied by latchkey ` +
        `${entry.version}, which this version doesn't know. Deploy a version that does.`,
    })
  return {
    applied: entries,
    pending: files.filter((file) => !entryOf.has(file.id)),
    tampered: [
      ...files.flatMap((file) => checkFile(file, entryOf.get(file.id), entries.at(-1))),
      ...unknown.filter((entry) => entry.id < newest).map((entry) =>
        new Discrepancy({
          kind: "missing",
          id: entry.id,
          name: entry.name,
          message: `${label(entry.id, entry.name)}.sql was applied, but the file is gone. ` +
            "Restore it.",
        })
      ),
    ],
    ahead: ahead.map(aheadMessage),
    incompatible: ahead
      .filter(({ compatibleWith }) => compatibleWith === null || compatibleWith > newest)
      .map(aheadMessage),
  }
}

interface Entry {
  readonly id: number
  readonly name: string
}

const without = (entries: ReadonlyArray<Entry>, others: ReadonlyArray<Entry>) => {
  const ids = new Set(others.map(({ id }) => id))
  return entries.filter(({ id }) => !ids.has(id))
}

/** Where the ledger and the table of Effect's migrator contradict each other. */
export const unrecorded = (effectEntries: ReadonlyArray<Entry>, entries: ReadonlyArray<Entry>) => [
  ...without(effectEntries, entries).map(({ id, name }) =>
    new Discrepancy({
      kind: "unrecorded",
      id,
      name,
      message: `${label(id, name)} is in effect_sql_migrations, but not in the ledger: it was ` +
        `applied by other means. If that is right, run \`deno task migrate baseline ${id}\`.`,
    })
  ),
  ...without(entries, effectEntries).map(({ id, name }) =>
    new Discrepancy({
      kind: "unrecorded",
      id,
      name,
      message:
        `${label(id, name)} is in the ledger, but not in effect_sql_migrations: one of them ` +
        "was edited by hand. Restore the row.",
    })
  ),
]
