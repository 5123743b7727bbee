import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MigrationUnknown } from "../../../src/migrator/apply/Up.ts"
import { MigrationFailed } from "../../../src/migrator/MigrationFailed.ts"
import { Scratch } from "../Scratch.ts"

const up = Effect.gen(function* () {
  const { migrate } = yield* Scratch
  const applied = yield* migrate((migrator) => migrator.up())
  return applied.map(({ file }) => file.file)
})

const upFails = Effect.flatMap(
  Effect.flip(up),
  (error) => error instanceof MigrationFailed ? Effect.succeed(error) : Effect.die(error),
)

const appliedIds = Scratch.use(({ column }) =>
  column("SELECT id FROM public.latchkey_migrations ORDER BY id")
)

describe("up", () => {
  it.live("applies what is pending in order, once", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write({
        "0002_b.sql": "INSERT INTO log VALUES ('b')",
        "0001_a.sql": "CREATE TABLE log (word text); INSERT INTO log VALUES ('a');",
        "README.md": "not a migration",
      })
      assert.deepStrictEqual(yield* up, ["0001_a.sql", "0002_b.sql"])
      yield* write({ "0010_c.sql": "INSERT INTO log VALUES ('c');" })
      assert.deepStrictEqual(yield* up, ["0010_c.sql"])
      assert.deepStrictEqual(yield* up, [])
      assert.deepStrictEqual(yield* column("SELECT word FROM log"), ["a", "b", "c"])
      assert.deepStrictEqual(yield* appliedIds, [1, 2, 10])
      assert.deepStrictEqual(
        yield* column("SELECT migration_id FROM public.effect_sql_migrations ORDER BY 1"),
        [1, 2, 10],
      )
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("applies no migration after the one it is told to stop at", () =>
    Effect.gen(function* () {
      const { write, migrate } = yield* Scratch
      yield* write({ "0001_a.sql": "SELECT 1", "0002_b.sql": "SELECT 2", "0003_c.sql": "SELECT 3" })
      yield* migrate((migrator) => migrator.up({ to: 2 }))
      assert.deepStrictEqual(yield* appliedIds, [1, 2])
      const error = yield* Effect.flip(migrate((migrator) => migrator.up({ to: 9 })))
      assert.instanceOf(error, MigrationUnknown)
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("takes a script as it is: bodies, quotes, comments, dollar tags, many statements", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write({
        "0001_all.sql": `/* ; /* nested; */ ; */
CREATE TABLE t ("a;b" text); -- a comment; with a semicolon
INSERT INTO t VALUES ('it''s; $latchkey$'), (E'\\';'), ($latchkey1$x;$$y$$;$latchkey1$);
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN 1; -- $b$
END $$;
CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
DO $$ BEGIN INSERT INTO t VALUES ('done;'); END $$ -- $latchkey2`,
      })
      yield* up
      assert.deepStrictEqual(yield* column("SELECT * FROM t"), [
        "it's; $latchkey$",
        "';",
        "x;$$y$$;",
        "done;",
      ])
      assert.deepStrictEqual(yield* column("SELECT f() + g()"), [3])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("starts every file from the same session settings", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      const settings = "concat_ws(' ', current_setting('search_path'), current_user, " +
        "current_setting('lock_timeout'), current_setting('statement_timeout'))"
      yield* write({
        "0001_a.sql": `CREATE TABLE public.seen (settings text);
          INSERT INTO public.seen SELECT ${settings};
          CREATE SCHEMA elsewhere;
          CREATE ROLE "latchkey test role";
          GRANT ALL ON SCHEMA elsewhere TO "latchkey test role";
          SET search_path = elsewhere; SET ROLE "latchkey test role";
          SET lock_timeout = '1h'; SET statement_timeout = '1h';`,
        "0002_b.sql": `INSERT INTO public.seen SELECT ${settings};
          DROP SCHEMA elsewhere; DROP ROLE "latchkey test role";`,
      })
      yield* up
      const [first, ...others] = yield* column("SELECT settings FROM public.seen")
      assert.deepStrictEqual(others, [first])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live.each([
    "SET ROLE pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor; SET LOCAL ROLE pg_read_all_stats",
    "SET default_transaction_read_only = on",
    "SET TRANSACTION READ ONLY",
    "SET LOCAL search_path = pg_catalog",
    "SET client_encoding = latin1",
    "SET session_replication_role = replica",
    "CREATE TEMPORARY TABLE latchkey_migrations (mine text)",
    "DEALLOCATE ALL",
    "SELECT pg_advisory_unlock_all()",
  ])("records a file whatever it leaves set: %s", (leaves) =>
    Effect.gen(function* () {
      const { write, column, migrate } = yield* Scratch
      yield* write({
        "0001_a.sql": `CREATE TABLE t (id int); INSERT INTO t VALUES (1); ${leaves};`,
        "0002_b.sql": "INSERT INTO t VALUES (2);",
      })
      assert.deepStrictEqual(yield* up, ["0001_a.sql", "0002_b.sql"])
      assert.deepStrictEqual(yield* column("SELECT id FROM t ORDER BY id"), [1, 2])
      assert.deepStrictEqual(yield* appliedIds, [1, 2])
      assert.deepStrictEqual(yield* migrate((migrator) => migrator.verify), [])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live.each(["", "\n\n", "-- Nothing yet.\n", "/* SELECT 1; */ ;;", "-- no-transaction\n"])(
    "applies nothing where a pending file holds no statement: %j",
    (script) =>
      Effect.gen(function* () {
        const { write, migrate } = yield* Scratch
        yield* write({ "0001_a.sql": "SELECT 1", "0002_b.sql": script })
        const errors = yield* Effect.all([
          Effect.flip(migrate((migrator) => migrator.up())),
          Effect.flip(migrate((migrator) => migrator.plan())),
          Effect.flip(migrate((migrator) => migrator.baseline(2))),
        ])
        for (const { message } of errors) {
          assert.include(message, "migrations/0002_b.sql can't be applied (line 1)")
          assert.include(message, "no statement")
        }
        assert.deepStrictEqual(
          yield* migrate(({ status }) => status).pipe(
            Effect.map(({ applied }) => applied),
          ),
          [],
        )
        // What comes before it can be applied.
        yield* migrate((migrator) => migrator.up({ to: 1 }))
      }).pipe(Effect.provide(Scratch.layer)),
  )

  it.live("shows file, line and PostgreSQL's words, and leaves nothing of a failed file behind", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      const file = (third: string) => ({
        "0001_a.sql": "CREATE TABLE fine (id int);",
        "0002_b.sql":
          `-- über 🙂\nCREATE TABLE one (id int);\nINSERT INTO one VALUES (1), (1);\n\n${third};\n`,
      })
      const failures = [
        ["SELEC 1", 5, 'syntax error at or near "SELEC"'],
        ["SELECT\n  missing\nFROM one", 6, 'column "missing" does not exist'],
        // These come from PostgreSQL without a position.
        ["CREATE UNIQUE INDEX one_id ON one (id)", 5, 'could not create unique index "one_id"'],
        ["CREATE TABLE one (id int)", 5, 'relation "one" already exists'],
        ["DO $$\nBEGIN\n  RAISE 'no; %', 'way';\nEND $$", 5, "no; way"],
        ["VACUUM one", 5, "VACUUM cannot"],
        ["CREATE INDEX CONCURRENTLY i ON one (id)", 5, "CREATE INDEX CONCURRENTLY cannot"],
        ["COMMIT", 5, "EXECUTE of transaction commands is not implemented"],
      ] as const
      for (const [third, line, reason] of failures) {
        yield* write(file(third))
        const error = yield* upFails
        assert.include(error.reason, reason)
        assert.deepStrictEqual([error.file, error.line], ["0002_b.sql", line], third)
        assert.include(error.message, `migrations/0002_b.sql:${line}: ${reason}`)
        assert.deepStrictEqual(yield* appliedIds, [1])
        assert.deepStrictEqual(yield* column("SELECT to_regclass('one')::text"), [null])
      }
      yield* write(file("INSERT INTO one VALUES (2)"))
      assert.deepStrictEqual(yield* up, ["0002_b.sql"])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("never shows the row that a constraint refused", () =>
    Effect.gen(function* () {
      const { write } = yield* Scratch
      yield* write({
        "0001_a.sql": "CREATE TABLE t (secret text CHECK (secret <> 'hash'));\n" +
          "INSERT INTO t VALUES ('hash');",
      })
      const error = yield* upFails
      assert.strictEqual(error.line, 2)
      assert.notInclude(JSON.stringify(error), "hash")
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("gives migrations time limits of their own, whatever the client's are", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write({
        "0001_a.sql": "CREATE TABLE t AS SELECT name, setting FROM pg_settings " +
          "WHERE name IN ('lock_timeout', 'statement_timeout')",
      })
      yield* up
      assert.deepStrictEqual(yield* column("SELECT setting FROM t ORDER BY name"), ["5000", "0"])
    }).pipe(Effect.provide(Scratch.layer)))
})
