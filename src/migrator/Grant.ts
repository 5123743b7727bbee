/**
 * What a role that only serves needs: rows, and no way to change the schema.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { effectTable, exists } from "./Ledger.ts"

/** There is no role of this name. */
export class RoleUnknown extends Schema.TaggedError<RoleUnknown>()("RoleUnknown", {
  role: Schema.String,
}) {
  override get message() {
    return `There is no role ${this.role}; make it first: CREATE ROLE ${this.role} LOGIN PASSWORD '…'.`
  }
}

/** There is nothing to grant rights in. */
export class NotMigrated extends Schema.TaggedError<NotMigrated>()("NotMigrated", {}) {
  override readonly message =
    "The database has no tables of latchkey yet; run `deno task migrate`, then grant."
}

/**
 * What a role can do beyond serving, and what would take it away; rights that it has from PUBLIC or from
 * another role count. https://www.postgresql.org/docs/current/ddl-priv.html
 */
export const findExcess = Effect.fnUntraced(function* (role: string) {
  const sql = yield* SqlClient.SqlClient
  const [found] = yield* sql<{
    readonly isSuperuser: boolean
    readonly owned: ReadonlyArray<string>
    readonly unwanted: ReadonlyArray<string>
    readonly inSchema: boolean
    readonly inDatabase: boolean
  }>`
    SELECT
      rolsuper AS "isSuperuser",
      ARRAY(
        SELECT relname::text
        FROM pg_catalog.pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
          AND pg_has_role(pg_roles.oid, relowner, 'MEMBER')
        ORDER BY relname
      ) AS owned,
      ARRAY(
        SELECT format('%s on public.%s', privilege, relname)
        FROM pg_catalog.pg_class, unnest('{TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS privilege
        WHERE relnamespace = 'public'::regnamespace
          AND relname IN ('users', 'refresh_tokens', 'login_attempts')
          AND has_table_privilege(pg_roles.oid, pg_class.oid, privilege)
        ORDER BY relname, privilege
      ) AS unwanted,
      has_schema_privilege(pg_roles.oid, 'public', 'CREATE') AS "inSchema",
      has_database_privilege(pg_roles.oid, current_database(), 'CREATE') AS "inDatabase"
    FROM pg_catalog.pg_roles
    WHERE rolname = ${role}`.withoutTransform
  if (found === undefined) return []
  if (found.isSuperuser) return ["it is a superuser; let the service sign in as another role"]
  if (found.owned.length > 0) {
    return [
      `it owns ${
        found.owned.join(", ")
      }, or is a member of the role that does; let the service sign ` +
      "in as another role",
    ]
  }
  return [
    ...(found.unwanted.length > 0 ? [`it has ${found.unwanted.join(", ")}; REVOKE that`] : []),
    ...(found.inSchema
      ? ["it may create in schema public; REVOKE CREATE ON SCHEMA public FROM it, or from PUBLIC"]
      : []),
    ...(found.inDatabase
      ? ["it may create schemas; REVOKE CREATE ON DATABASE from it, or from PUBLIC"]
      : []),
  ]
})

/**
 * Grants a role what the service needs: reading and writing the rows of the three tables, reading the
 * ledger, and no more. Again after a migration that adds a table, a sequence or a function. Gives back what else
 * the role can do, a sentence each.
 */
export const grant = Effect.fn("Grant.grant")(function* (role: string) {
  const sql = yield* SqlClient.SqlClient
  const roles = yield* sql`SELECT FROM pg_catalog.pg_roles WHERE rolname = ${role}`
  if (roles.length === 0) return yield* new RoleUnknown({ role })
  const tables = ["public.users", "public.refresh_tokens", "public.login_attempts", effectTable]
  for (const table of [...tables, "public.latchkey_migrations"]) {
    if (!(yield* exists(table))) return yield* new NotMigrated()
  }
  yield* sql.withTransaction(Effect.gen(function* () {
    yield* sql`GRANT USAGE ON SCHEMA public TO ${sql(role)}`
    yield* sql`
      GRANT SELECT, INSERT, UPDATE, DELETE
      ON public.users, public.refresh_tokens, public.login_attempts
      TO ${sql(role)}`
    yield* sql`GRANT USAGE ON SEQUENCE public.users_version_seq TO ${sql(role)}`
    // Everybody may, unless that was revoked.
    yield* sql`
      GRANT EXECUTE ON FUNCTION
        public.begin_login_attempts(json, boolean),
        public.login_counter_lock(text, text, inet),
        public.login_failures(text, text, inet, timestamptz, integer, timestamptz, uuid)
      TO ${sql(role)}`
    yield* sql`
      GRANT SELECT ON public.latchkey_migrations, public.effect_sql_migrations TO ${sql(role)}`
  }))
  return yield* findExcess(role)
})
