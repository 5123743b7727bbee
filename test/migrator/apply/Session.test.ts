import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SessionUnfit } from "../../../src/migrator/apply/Session.ts"
import { MigrationFailed } from "../../../src/migrator/MigrationFailed.ts"
import { Scratch } from "../Scratch.ts"

const files = {
  "0001_a.sql": "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE users (id int, mood mood);",
  "0002_b.sql": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';\n" +
    "ALTER TABLE users ADD COLUMN one int DEFAULT f();",
  "0003_c.sql": "-- no-transaction\nCREATE INDEX CONCURRENTLY users_id_idx ON users (id);",
}

const up = Scratch.use(({ migrate }) => migrate((migrator) => migrator.up()))

/** What is set for the database that the test has. */
const alterDatabase = Effect.fnUntraced(function* (setting: string) {
  const { connection, sql } = yield* Scratch
  yield* sql`ALTER DATABASE ${sql(connection.database ?? "")} SET ${sql.literal(setting)}`
})

describe("sessions of migrate", () => {
  it.live.each([
    "search_path = app, public",
    "search_path = ''",
    "search_path = pg_catalog",
    `search_path = "$user", public`,
  ])(
    "make the same schema in public where a database has %s",
    (setting) =>
      Effect.gen(function* () {
        const { write, migrate, sql, column } = yield* Scratch
        yield* sql`CREATE SCHEMA app`
        yield* sql`CREATE SCHEMA AUTHORIZATION CURRENT_USER`
        // Another application's; without its columns.
        yield* sql`CREATE TABLE app.users ()`
        yield* alterDatabase(setting)
        yield* write(files)
        yield* up
        assert.deepStrictEqual(
          yield* column(`
          SELECT nspname || '.' || relname
          FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
          WHERE relkind IN ('r', 'i') AND nspname !~ '^pg_(catalog|toast)|^information_schema'
            AND relname !~ '_pkey$'
          ORDER BY 1`),
          [
            "app.users",
            "public.effect_sql_migrations",
            "public.latchkey_migration_steps",
            "public.latchkey_migrations",
            "public.users",
            "public.users_id_idx",
          ],
        )
        assert.deepStrictEqual(yield* migrate((migrator) => migrator.drift), [])
        assert.deepStrictEqual(yield* migrate((migrator) => migrator.verify), [])
        yield* write({ "0004_d.sql": "DROP TABLE users;" })
        yield* up
        assert.deepStrictEqual(yield* column("SELECT to_regclass('app.users')::text"), [
          "app.users",
        ])
      }).pipe(Effect.provide(Scratch.layer)),
  )

  it.live("have the same settings in every file, whatever the database sets", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      const wanted = {
        array_nulls: "on",
        check_function_bodies: "on",
        client_encoding: "UTF8",
        DateStyle: "ISO, MDY",
        default_table_access_method: "heap",
        default_transaction_deferrable: "off",
        default_transaction_isolation: "read committed",
        idle_in_transaction_session_timeout: "0",
        idle_session_timeout: "0",
        IntervalStyle: "postgres",
        lock_timeout: "5000",
        row_security: "off",
        search_path: "public, pg_temp",
        session_replication_role: "origin",
        standard_conforming_strings: "on",
        statement_timeout: "0",
        TimeZone: "UTC",
        transform_null_equals: "off",
      }
      for (
        const setting of [
          "array_nulls = off",
          "check_function_bodies = off",
          "client_encoding = latin1",
          "DateStyle = 'German'",
          "default_transaction_deferrable = on",
          "default_transaction_isolation = serializable",
          "idle_in_transaction_session_timeout = '1ms'",
          "idle_session_timeout = '1min'",
          "IntervalStyle = iso_8601",
          "lock_timeout = '1ms'",
          "row_security = on",
          "session_replication_role = replica",
          "standard_conforming_strings = off",
          "statement_timeout = '1ms'",
          "TimeZone = 'Asia/Tokyo'",
          "transform_null_equals = on",
        ]
      ) {
        yield* alterDatabase(setting)
      }
      const names = Object.keys(wanted).map((name) => `'${name}'`).join()
      const seen =
        `SELECT name || ' = ' || setting AS setting FROM pg_settings WHERE name IN (${names})`
      yield* write({
        "0001_a.sql": `CREATE TABLE seen AS ${seen};`,
        "0002_b.sql": `-- no-transaction\nINSERT INTO seen ${seen};`,
        "0003_c.sql": `SET search_path = pg_catalog; SET TimeZone = 'Asia/Tokyo';`,
        "0004_d.sql": `INSERT INTO seen ${seen};`,
      })
      yield* up
      assert.sameMembers(
        yield* column("SELECT DISTINCT setting FROM seen"),
        Object.entries(wanted).map(([name, setting]) => `${name} = ${setting}`),
      )
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("leave another application's tables in public alone, and apply nothing", () =>
    Effect.gen(function* () {
      const { write, sql, column } = yield* Scratch
      yield* sql`CREATE TABLE public.users (theirs text)`
      yield* write(files)
      assert.instanceOf(yield* Effect.flip(up), MigrationFailed)
      assert.deepStrictEqual(yield* column("SELECT id FROM public.latchkey_migrations"), [])
      assert.deepStrictEqual(yield* column("SELECT to_regtype('public.mood')::text"), [null])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("are refused by name where a setting that must be otherwise cannot be changed", () =>
    Effect.gen(function* () {
      const { write, migrateOn, role, sql, connection, column } = yield* Scratch
      const { name, connection: asOwner } = yield* role
      yield* sql`ALTER DATABASE ${sql(connection.database ?? "")} OWNER TO ${sql(name)}`
      yield* sql`ALTER ROLE ${sql(name)} SET session_replication_role = replica`
      yield* write(files)
      const error = yield* Effect.flip(migrateOn(asOwner, (migrator) => migrator.up()))
      assert.match(error.message, /session_replication_role/)
      assert.deepStrictEqual(
        yield* column("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"),
        [],
      )
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("are refused where the database is not to be written to", () =>
    Effect.gen(function* () {
      const { write } = yield* Scratch
      yield* alterDatabase("default_transaction_read_only = on")
      yield* write(files)
      const error = yield* Effect.flip(up)
      assert.instanceOf(error, SessionUnfit)
      assert.include(error.message, "default_transaction_read_only")
      assert.include(error.message, "database")
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("change all rows or none, whatever a policy hides from their role", () =>
    Effect.gen(function* () {
      const { write, migrateOn, role, sql, connection, column } = yield* Scratch
      const { name, connection: asOwner } = yield* role
      yield* sql`ALTER DATABASE ${sql(connection.database ?? "")} OWNER TO ${sql(name)}`
      yield* write({ "0001_a.sql": "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2);" })
      const upAsOwner = migrateOn(asOwner, (migrator) => migrator.up())
      yield* upAsOwner
      yield* sql`ALTER TABLE t ENABLE ROW LEVEL SECURITY`
      yield* sql`ALTER TABLE t FORCE ROW LEVEL SECURITY`
      yield* sql`CREATE POLICY odd ON t USING (id % 2 = 1)`
      yield* write({ "0002_b.sql": "UPDATE t SET id = id + 10;" })
      const error = yield* Effect.flip(upAsOwner)
      assert.include(error.message, "row-level security")
      assert.deepStrictEqual(yield* column("SELECT id FROM t ORDER BY id"), [1, 2])
    }).pipe(Effect.provide(Scratch.layer)))
})
