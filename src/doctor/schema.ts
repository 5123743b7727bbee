/**
 * Whether the schema is the one of this version, and the role may use it.
 */
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, FileSystem, Path } from "effect"
import { SqlClient } from "effect/sql"
import type { DatabaseUnusable } from "../database/requireUsable.ts"
import { label } from "../migrator/Comparison.ts"
import type { Comparison } from "../migrator/Comparison.ts"
import { findExcess } from "../migrator/Grant.ts"
import * as MigrationDirectory from "../migrator/MigrationDirectory.ts"
import { Migrator } from "../migrator/Migrator.ts"
import type { Check } from "./Check.ts"
import { error, ok, type Seen, skipped, warning } from "./Finding.ts"

/** What keeps the service from its work, and which objects there are not. */
export interface Usability {
  readonly problems: ReadonlyArray<DatabaseUnusable>
  readonly missing: ReadonlyArray<string>
}

const usable = [
  {
    name: "rights",
    reason: "rights-missing",
    ok: "The role may do all that the service does.",
    advice:
      "Grant it as the sentence says; the service does not start, or is not ready, until then.",
  },
  {
    name: "row-security",
    reason: "row-security",
    ok: "No row security policy hides rows from the role.",
    advice: "Do as the sentence says.",
  },
  {
    name: "writable",
    reason: "database-read-only",
    ok: "The server takes writes.",
    advice: "Name the primary in DATABASE_URL, or reset default_transaction_read_only.",
  },
] as const

/** Rights, row security, and whether the server takes writes. */
export const usability = ({ problems }: Usability): ReadonlyArray<Check> =>
  usable.map(({ advice, name, ok: sentence, reason }) => {
    const found = problems.find((problem) => problem.reason === reason)
    return {
      group: "schema",
      name,
      look: Effect.succeed(found === undefined ? ok(sentence) : error(found.message, advice)),
    }
  })

/** Whether the role can do more than serving takes; the embedded server has no other role. */
export const excess: Check<PgClient.PgClient> = {
  group: "schema",
  name: "excess-rights",
  look: Effect.gen(function* () {
    const client = yield* PgClient.PgClient
    const [found] = yield* client<{ readonly role: string }>`SELECT current_user::text AS role`
    const role = found?.role ?? ""
    const sentences = yield* Effect.provideService(findExcess(role), SqlClient.SqlClient, client)
    return sentences.length === 0
      ? ok(`The role "${role}" can do no more than the service needs.`)
      : sentences.map((sentence) =>
        warning(
          `The role "${role}" can do more than the service needs: ${sentence}.`,
          "Let the service sign in as a role of its own: `deno task migrate grant ROLE`.",
        )
      )
  }),
}

const ofComparison = (comparison: Comparison, missing: ReadonlyArray<string>) => {
  const { ahead, applied, incompatible, pending, tampered } = comparison
  const newest = applied.at(-1)
  const found: ReadonlyArray<Seen> = [
    ...pending.length === 0 ? [] : [error(
      `The database lacks ${pending.map(({ file }) => file).join(", ")}.`,
      "Run `deno task migrate` as the owner of the database, then start this version.",
    )],
    ...tampered.map(({ message }) =>
      error(message, "Restore the files; `deno task migrate verify` tells all that differs.")
    ),
    ...ahead.map((entry) =>
      incompatible.some(({ id }) => id === entry.id)
        ? error(entry.message, "Deploy the version that the database was migrated for.")
        : warning(
          `${entry.message} It says that this version may keep running meanwhile.`,
          "Finish the deployment.",
        )
    ),
    ...pending.length > 0 || missing.length === 0 ? [] : [error(
      `The database lacks ${missing.join(", ")}, although all migrations are applied.`,
      "`deno task migrate drift` compares the schema; put back what was dropped or renamed.",
    )],
  ]
  return found.length > 0 || newest === undefined
    ? found
    : [ok(`All ${applied.length} migrations are applied, up to ${label(newest.id, newest.name)}.`)]
}

/** How the database stands to the migrations of this version. */
export const migrations = ({ missing }: Usability): Check<Migrator> => ({
  group: "schema",
  name: "migrations",
  look: Effect.gen(function* () {
    const { status } = yield* Migrator
    return ofComparison(yield* status, missing)
  }),
})

/** Whether this role may rename the schema, which is how it is compared, in a transaction that is undone. */
const mayCompare = SqlClient.SqlClient.use((sql) =>
  sql<{ readonly role: string; readonly allowed: boolean }>`
    SELECT
      current_user::text AS role,
      pg_has_role(nspowner, 'USAGE') AND has_database_privilege(current_database(), 'CREATE')
        AS allowed
    FROM pg_catalog.pg_namespace
    WHERE nspname = 'public'`
)

/** Whether the schema is what the migrations make. */
export const drift = (
  { problems }: Usability,
  isPooled: boolean,
): Check<Migrator | SqlClient.SqlClient> => ({
  group: "schema",
  name: "drift",
  patience: Duration.minutes(1),
  look: Effect.gen(function* () {
    if (isPooled) {
      return skipped(
        "Schemas are compared over a direct connection.",
        "Run `deno task migrate drift` with one.",
      )
    }
    if (problems.some(({ reason }) => reason === "database-read-only")) {
      return skipped("Schemas are compared where writes are taken.")
    }
    const [found] = yield* mayCompare
    if (found?.allowed !== true) {
      return skipped(
        `Schemas are compared as the owner of the database, which "${found?.role}" is not.`,
        "Run `deno task migrate drift`, or this, as the owner.",
      )
    }
    const differences = yield* (yield* Migrator).drift
    return differences.length === 0
      ? ok("The schema is what the migrations make.")
      : differences.map(({ message }) =>
        error(message, "Undo the change, or put what is right into a migration.")
      )
  }),
})

/** The indexes of the generated schema by name, each with the statement that makes it. */
export const indexesIn = (schema: string): ReadonlyMap<string, string> =>
  new Map([
    ...Array.from(
      schema.matchAll(/^CREATE (?:UNIQUE )?INDEX (\w+) ON [^;]+;/gm),
      ([statement, name = ""]) =>
        [name, statement.replace("INDEX", "INDEX CONCURRENTLY").replace(/\s+/g, " ")] as const,
    ),
    ...Array.from(
      schema.matchAll(/^ {2}(CONSTRAINT (\w+) PRIMARY KEY \(\w+\))/gm),
      ([, constraint = "", name = ""]) => [name, `ALTER TABLE … ADD ${constraint};`] as const,
    ),
  ])

const expectedIndexes = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  return indexesIn(
    yield* fs.readFileString(path.join(yield* MigrationDirectory.path, "schema.sql")),
  )
})

/** Whether every index is there and complete. */
export const indexes: Check<
  SqlClient.SqlClient | Migrator | FileSystem.FileSystem | Path.Path
> = {
  group: "schema",
  name: "indexes",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const expected = yield* expectedIndexes
    const { pending } = yield* (yield* Migrator).status
    const found = yield* sql<{ readonly name: string; readonly complete: boolean }>`
      SELECT index.relname AS name, indisvalid AND indisready AND indislive AS complete
      FROM pg_catalog.pg_index
      JOIN pg_catalog.pg_class AS index ON index.oid = indexrelid
      WHERE index.relnamespace = 'public'::regnamespace
      ORDER BY name`
    const names = new Set(found.map(({ name }) => name))
    // What is not migrated yet may lack any.
    const missing = pending.length > 0 ? [] : [...expected].filter(([name]) => !names.has(name))
    const seen = [
      ...missing.map(([name, statement]) =>
        error(`The index ${name} is missing.`, `Make it again: ${statement}`)
      ),
      ...found.filter(({ complete }) => !complete).map(({ name }) =>
        error(
          `The index ${name} is invalid: writes keep it, and no query uses it.`,
          `Unless it is being built just now, run REINDEX INDEX CONCURRENTLY public.${name}; or drop ` +
            "it, if its name ends in _ccnew or _ccold.",
        )
      ),
    ]
    return seen.length > 0
      ? seen
      : ok(`All ${expected.size} indexes of this version are there and valid.`)
  }),
}
