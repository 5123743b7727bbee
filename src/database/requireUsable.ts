/**
 * Whether the service can do its work in a database as it is: its rights, row security, a server that
 * takes writes, sessions that are what they must be. One statement that reads the catalogue alone, and
 * so waits for no lock of a table.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Option, Schema } from "effect"
import type { SqlError } from "effect/sql"
import { interpretErrors } from "./Constraints.ts"
import { unfitnessesOf } from "./servers/refusals.ts"
import * as SessionSettings from "./SessionSettings.ts"

/**
 * What the statements of the service do with each object of the schema `public`, which is what
 * `migrate grant` gives. FOR UPDATE and FOR SHARE want UPDATE as well.
 */
const rights: Readonly<Record<string, ReadonlyArray<string>>> = {
  latchkey_migrations: ["SELECT"],
  users: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  refresh_tokens: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  login_attempts: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  users_version_seq: ["USAGE"],
}

/** The functions that its statements call; everybody may, unless that was revoked. */
const functions = ["begin_login_attempts", "login_counter_lock", "login_failures"]

/** Why the database cannot be used as it is. */
export class DatabaseUnusable extends Schema.TaggedError<DatabaseUnusable>()("DatabaseUnusable", {
  reason: Schema.Literals([
    "database-read-only",
    "database-unreachable",
    "rights-missing",
    "row-security",
    "schema-differs",
    "session-settings",
  ]),
  /** In a sentence for operators: it names roles and tables. */
  message: Schema.String,
}) {}

class Inspection extends SessionSettings.SessionFacts.extend<Inspection>("Inspection")({
  /** The role whose rights count: not the one that signed in, where that sets another. */
  user: Schema.String,
  /** Those that are there. */
  objects: Schema.Array(Schema.Struct({
    name: Schema.String,
    missing: Schema.Array(Schema.String),
    hidesRows: Schema.Boolean,
  })),
  /** Functions that the role may not call. */
  closedFunctions: Schema.Array(Schema.String),
}) {}

const needed = Object.entries(rights)
  .map(([name, privileges]) => `('${name}', '{${privileges.join(",")}}'::pg_catalog.text[])`)
  .join(", ")

const statement = `
SELECT ${SessionSettings.factsColumns},
  current_user::pg_catalog.text AS user,
  (
    SELECT COALESCE(
      pg_catalog.json_agg(
        pg_catalog.json_build_object(
          'name', needed.name,
          'missing', ARRAY(
            SELECT privilege
            FROM pg_catalog.unnest(needed.privileges) AS privilege
            WHERE NOT CASE class.relkind
              WHEN 'S' THEN pg_catalog.has_sequence_privilege(class.oid, privilege)
              ELSE pg_catalog.has_table_privilege(class.oid, privilege)
            END
          ),
          'hidesRows', pg_catalog.row_security_active(class.oid)
        )
        ORDER BY needed.name
      ),
      '[]'
    )
    FROM (VALUES ${needed}) AS needed (name, privileges)
    JOIN pg_catalog.pg_class AS class ON class.relname = needed.name
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = 'public'
  ) AS objects,
  (
    SELECT COALESCE(pg_catalog.json_agg(function.proname ORDER BY function.proname), '[]')
    FROM pg_catalog.pg_proc AS function
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = function.pronamespace
    WHERE
      namespace.nspname = 'public'
      AND function.proname IN (${functions.map((name) => `'${name}'`).join(", ")})
      AND NOT pg_catalog.has_function_privilege(function.oid, 'EXECUTE')
  ) AS "closedFunctions"`

const decode = Schema.decodeUnknownEffect(Schema.Tuple([Inspection]))

const unusable = (reason: DatabaseUnusable["reason"], message: string) =>
  new DatabaseUnusable({ reason, message })

const missingRights = (
  { objects, closedFunctions, usesPublic }: Inspection,
): ReadonlyArray<string> => [
  ...usesPublic ? [] : ["USAGE on the schema public"],
  ...objects.flatMap(({ name, missing }) =>
    missing.length === 0 ? [] : [`${missing.join(", ")} on public.${name}`]
  ),
  ...closedFunctions.map((name) => `EXECUTE on public.${name}`),
]

/** What keeps the service from its work, the first cause first. */
const problemsOf = (
  found: Inspection,
  config: PgClient.PgClientConfig,
): ReadonlyArray<DatabaseUnusable> => {
  const session = SessionSettings.diagnose(found, config)
  const missing = missingRights(found)
  const hidden = found.objects.filter(({ hidesRows }) => hidesRows)
  return [
    ...Option.toArray(session).map((problem) =>
      unusable("session-settings", `The database: ${problem}.`)
    ),
    ...missing.length === 0 ? [] : [
      unusable(
        "rights-missing",
        `The role "${found.user}" lacks ${missing.join("; ")}. ` +
          `Run \`deno task migrate grant ${found.user}\` as the owner of the tables.`,
      ),
    ],
    ...hidden.length === 0 ? [] : [
      unusable(
        "row-security",
        `Row security hides rows from the role "${found.user}": in ${
          hidden.map(({ name }) => `public.${name}`).join(", ")
        }. Disable it there, or let the role see all rows (ALTER ROLE … BYPASSRLS).`,
      ),
    ],
    ...found.readOnly
      ? [unusable("database-read-only", "The database is read-only; writes need the primary.")]
      : [],
  ]
}

/** What was wrong with servers that answered; that one of several is a standby may be over soon. */
const refusalIn = (error: SqlError.SqlError) => {
  const unfitnesses = unfitnessesOf(error)
  const unfit = unfitnesses.find(({ reason }) => reason === "standby") ?? unfitnesses[0]
  return unfit && unusable(
    unfit.reason === "standby" ? "database-read-only" : "session-settings",
    unfit.message,
  )
}

/**
 * All that keeps the service from its work, the first cause first, and the names of the objects that
 * are missing. Fails where the database cannot be asked.
 */
export const inspectUsability = Effect.gen(function* () {
  const client = yield* PgClient.PgClient
  const [found] = yield* decode(yield* client.unsafe(statement))
  const names = found.objects.map(({ name }) => name)
  return {
    problems: problemsOf(found, client.config),
    missing: Object.keys(rights).filter((name) => !names.includes(name)),
  }
}).pipe(
  Effect.catchTag(
    "SqlError",
    (error): Effect.Effect<never, DatabaseUnusable | SqlError.SqlError> =>
      Effect.fail(refusalIn(error) ?? error),
  ),
  interpretErrors(),
  Effect.catchTag("DatabaseUnavailable", ({ code }) =>
    Effect.fail(unusable(
      "database-unreachable",
      `The database is unavailable${code === null ? "" : ` (${code})`}.`,
    ))),
)

/** Fails with the first thing that keeps the service from its work; gives the objects that are missing. */
export const requireUsable = inspectUsability.pipe(
  Effect.flatMap(({ problems: [first], missing }) =>
    first === undefined ? Effect.succeed(missing) : Effect.fail(first)
  ),
  Effect.withSpan("requireUsable"),
)
