/**
 * Whether the service can do its work in a database as it is: its rights, row security, a server that
 * takes writes, sessions that are what they must be. One statement that reads the catalogue alone, and
 * so waits for no lock of a table.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Option, Schema } from "effect"
import type { SqlError } from "effect/sql"
import { interpretErrors } from "./Constraints.ts"
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
  Effect.fail(new DatabaseUnusable({ reason, message }))

const missingRights = (
  { objects, closedFunctions, usesPublic }: Inspection,
): ReadonlyArray<string> => [
  ...usesPublic ? [] : ["USAGE on the schema public"],
  ...objects.flatMap(({ name, missing }) =>
    missing.length === 0 ? [] : [`${missing.join(", ")} on public.${name}`]
  ),
  ...closedFunctions.map((name) => `EXECUTE on public.${name}`),
]

const judge = (found: Inspection, config: PgClient.PgClientConfig) => {
  const problem = SessionSettings.diagnose(found, config)
  if (Option.isSome(problem)) return unusable("session-settings", `The database: ${problem.value}.`)
  const missing = missingRights(found)
  if (missing.length > 0) {
    return unusable(
      "rights-missing",
      `The role "${found.user}" lacks ${missing.join("; ")}. ` +
        `Run \`deno task migrate grant ${found.user}\` as the owner of the tables.`,
    )
  }
  const hidden = found.objects.filter(({ hidesRows }) => hidesRows)
  if (hidden.length > 0) {
    return unusable(
      "row-security",
      `Row security hides rows from the role "${found.user}": in ${
        hidden.map(({ name }) => `public.${name}`).join(", ")
      }. Disable it there, or let the role see all rows (ALTER ROLE … BYPASSRLS).`,
    )
  }
  return found.readOnly
    ? unusable("database-read-only", "The database is read-only; writes need the primary.")
    : Effect.void
}

/** Fails with the first thing that keeps the service from its work; gives the objects that are missing. */
export const requireUsable = Effect.gen(function* () {
  const client = yield* PgClient.PgClient
  const [found] = yield* decode(yield* client.unsafe(statement))
  yield* judge(found, client.config)
  const names = found.objects.map(({ name }) => name)
  return Object.keys(rights).filter((name) => !names.includes(name))
}).pipe(
  Effect.catchTag(
    "SqlError",
    (error): Effect.Effect<never, DatabaseUnusable | SqlError.SqlError> =>
      Option.match(SessionSettings.unfitnessOf(error), {
        onNone: () => Effect.fail(error),
        onSome: ({ message }) => unusable("session-settings", message),
      }),
  ),
  interpretErrors(),
  Effect.catchTag("DatabaseUnavailable", ({ code }) =>
    unusable(
      "database-unreachable",
      `The database is unavailable${code === null ? "" : ` (${code})`}.`,
    )),
  Effect.withSpan("requireUsable"),
)
