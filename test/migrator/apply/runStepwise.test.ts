import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { IndexInvalid } from "../../../src/migrator/apply/ConcurrentIndex.ts"
import { MigrationFailed } from "../../../src/migrator/MigrationFailed.ts"
import { Scratch } from "../Scratch.ts"

const up = Scratch.use(({ migrate }) => migrate((migrator) => migrator.up()))

const upFails = Effect.flatMap(
  Effect.flip(up),
  (error) => error instanceof MigrationFailed ? Effect.succeed(error) : Effect.die(error),
)

const indexes = Scratch.use(({ column }) =>
  column(`
    SELECT concat(indexrelid::regclass, CASE WHEN indisvalid THEN '' ELSE ' invalid' END)
    FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1`)
)

const table = { "0001_table.sql": "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1);" }

describe("a file without transaction", () => {
  it.live("runs what a transaction would refuse", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write({
        ...table,
        "0002_steps.sql": `-- no-transaction
CREATE INDEX CONCURRENTLY "t ids;" ON public.t (id); -- ;
VACUUM t;
DO $$ BEGIN INSERT INTO t VALUES (2); COMMIT; END $$;`,
      })
      yield* up
      assert.deepStrictEqual(yield* indexes, ['"t ids;"'])
      assert.deepStrictEqual(yield* column("SELECT max(id) FROM t"), [2])
      assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [1, 2])
      assert.deepStrictEqual(yield* column("SELECT * FROM latchkey_migration_steps"), [])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("goes on at the statement that failed, and repeats none", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      const file = (last: string) => ({
        "0002_steps.sql": `-- no-transaction
SET search_path = pg_catalog;
INSERT INTO public.t VALUES (7);
CREATE INDEX CONCURRENTLY t_id ON public.t (id);
${last};`,
      })
      yield* write({ ...table, ...file("ALTER TABLE public.t\n  DROP COLUMN missing") })
      const error = yield* upFails
      assert.deepStrictEqual([error.file, error.line], ["0002_steps.sql", 5])
      assert.include(error.message, 'column "missing" of relation "t" does not exist')
      assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [1])
      yield* write(file("CREATE TABLE public.u AS SELECT current_setting('search_path') AS path"))
      yield* up
      assert.deepStrictEqual(yield* column("SELECT count(*)::int FROM t WHERE id = 7"), [1])
      assert.deepStrictEqual(yield* column("SELECT path FROM u"), ["pg_catalog"])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("shows the place in a statement that can't be parsed", () =>
    Effect.gen(function* () {
      const { write } = yield* Scratch
      yield* write({
        ...table,
        "0002_steps.sql": "-- no-transaction\nSELECT 1;\n\nSELECT\n  2 +\n  nothing\nFROM t;\n",
      })
      assert.strictEqual((yield* upFails).line, 6)
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("builds a unique index again that duplicates have left invalid", () =>
    Effect.gen(function* () {
      const { write, sql } = yield* Scratch
      for (const [id, exists] of [[2, ""], [3, "IF NOT EXISTS"]] as const) {
        yield* write({
          ...table,
          [`000${id}_unique.sql`]:
            `-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY ${exists} t_id_${id} ON t (id);`,
        })
        yield* sql`INSERT INTO t VALUES (1)`.pipe(Effect.ignore)
        assert.include((yield* upFails).reason, "could not create unique index")
        assert.include(yield* indexes, `t_id_${id} invalid`)
        // Again while the duplicates are there: no success, and no pile of invalid indexes.
        assert.include((yield* upFails).reason, "could not create unique index")
        yield* sql`DELETE FROM t`
        yield* sql`INSERT INTO t VALUES (1)`
        yield* up
        assert.include(yield* indexes, `t_id_${id}`)
        yield* sql.unsafe(`DROP INDEX t_id_${id}`)
      }
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("is not recorded while an index is invalid, whoever left it", () =>
    Effect.gen(function* () {
      const { write, sql } = yield* Scratch
      yield* write(table)
      yield* up
      yield* Effect.flip(sql`CREATE UNIQUE INDEX CONCURRENTLY stray ON t (id)`)
      yield* write({ "0002_steps.sql": "-- no-transaction\nVACUUM t;" })
      const error = yield* Effect.flip(up)
      assert.instanceOf(error, IndexInvalid)
      assert.include(error.message, "public.stray")
      yield* sql`DROP INDEX stray`
      yield* up
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("is applied once by runs that start together, without a deadlock", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write({
        ...table,
        "0002_steps.sql": `-- no-transaction
CREATE INDEX CONCURRENTLY t_id ON t (id);
INSERT INTO t VALUES (9);
CREATE INDEX CONCURRENTLY t_id_2 ON t (id);`,
      })
      const runs = yield* Effect.all([up, up, up, up], { concurrency: "unbounded" })
      assert.deepStrictEqual(runs.flat().map(({ file }) => file.id).sort(), [1, 2])
      assert.deepStrictEqual(yield* column("SELECT count(*)::int FROM t WHERE id = 9"), [1])
      assert.deepStrictEqual(yield* indexes, ["t_id", "t_id_2"])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("may take on another role for its statements", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write({
        "0001_steps.sql": `-- no-transaction
SET ROLE pg_monitor;
CREATE TEMPORARY TABLE seen AS SELECT current_user AS who;
RESET ROLE;
CREATE TABLE public.kept AS SELECT * FROM seen;`,
      })
      yield* up
      assert.deepStrictEqual(yield* column("SELECT who FROM kept"), ["pg_monitor"])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live.each([
    "SET ROLE pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor; SET ROLE pg_read_all_stats",
    "SET default_transaction_read_only = on",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE",
    "SET search_path = pg_catalog",
    "SET client_encoding = latin1",
    "SET session_replication_role = replica",
    "SET statement_timeout = '1h'; SET lock_timeout = '1h'",
    "CREATE TEMPORARY TABLE latchkey_migrations (mine text)",
    "DEALLOCATE ALL",
    "DO $$ BEGIN SET ROLE pg_monitor; END $$",
    "SELECT set_config('role', 'pg_monitor', false)",
  ])("is recorded whatever it leaves set: %s", (leaves) =>
    Effect.gen(function* () {
      const { write, column, migrate } = yield* Scratch
      yield* write({
        ...table,
        "0002_steps.sql": `-- no-transaction\nINSERT INTO t VALUES (5);\n${leaves};\nSELECT 1;`,
        "0003_next.sql": "INSERT INTO t VALUES (6);",
      })
      yield* up
      assert.deepStrictEqual(
        yield* column("SELECT id FROM public.latchkey_migrations ORDER BY id"),
        [1, 2, 3],
      )
      assert.deepStrictEqual(yield* column("SELECT id FROM t WHERE id > 4 ORDER BY id"), [5, 6])
      assert.deepStrictEqual(yield* up, [])
      assert.deepStrictEqual(yield* migrate((migrator) => migrator.verify), [])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("goes on as the role, and in the path, that it had where it failed", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      const file = (last: string) => ({
        "0001_steps.sql": `-- no-transaction
CREATE TABLE seen (who text, path text);
GRANT ALL ON seen TO pg_monitor;
SET SESSION AUTHORIZATION pg_monitor;
SET search_path = pg_catalog;
INSERT INTO public.seen SELECT current_user, current_setting('search_path');
${last};
INSERT INTO public.seen SELECT current_user, current_setting('search_path');`,
      })
      yield* write(file("SELECT 1 / 0"))
      assert.strictEqual((yield* upFails).line, 7)
      yield* write(file("SELECT 1 / 1"))
      yield* up
      assert.deepStrictEqual(
        yield* column("SELECT concat_ws(' ', who, path) FROM seen"),
        ["pg_monitor pg_catalog", "pg_monitor pg_catalog"],
      )
    }).pipe(Effect.provide(Scratch.layer)))

  it.live.each(
    [
      ["BEGIN", "committed by itself"],
      ["COMMIT", "committed by itself"],
      ["START TRANSACTION", "committed by itself"],
      ["SAVEPOINT a", "committed by itself"],
      ["DISCARD ALL", "use RESET"],
      ["DROP INDEX CONCURRENTLY t_id", "IF EXISTS"],
      ["CREATE INDEX CONCURRENTLY ON t (id)", "a name"],
    ] as const,
  )(
    "is refused before any of it runs, with its line, for %s",
    ([statement, advice]) =>
      Effect.gen(function* () {
        const { write, column } = yield* Scratch
        yield* write({ ...table, "0002_steps.sql": `-- no-transaction\nSELECT 1;\n${statement};` })
        const error = yield* Effect.flip(up)
        assert.strictEqual(error._tag, "MigrationFileInvalid")
        assert.include(error.message, "migrations/0002_steps.sql can't be applied (line 3)")
        assert.include(error.message, advice)
        assert.deepStrictEqual(yield* column("SELECT to_regclass('t')::text"), [null])
      }).pipe(Effect.provide(Scratch.layer)),
  )
})

describe("CREATE INDEX CONCURRENTLY", () => {
  const create = "CREATE UNIQUE INDEX CONCURRENTLY t_id ON public.t USING btree " +
    "((id + 1) DESC, id) INCLUDE (name) WITH (fillfactor = 70) WHERE t.id > 0"

  const files = (statement = create) => ({
    "0001_table.sql": `CREATE TABLE t (dropped int, id int, name text); CREATE TABLE u (id int);
      ALTER TABLE t DROP COLUMN dropped;`,
    "0002_steps.sql": `-- no-transaction\n${statement};`,
  })

  const oids = Scratch.use(({ column }) =>
    column("SELECT oid::int FROM pg_class WHERE relname = 't_id'")
  )

  it.live("is done where the index is there already, as after a run that was killed", () =>
    Effect.gen(function* () {
      const { write, migrate, sql } = yield* Scratch
      yield* write(files())
      yield* migrate((migrator) => migrator.up({ to: 1 }))
      yield* sql.unsafe(create)
      const before = yield* oids
      yield* up
      assert.deepStrictEqual(yield* oids, before)
    }).pipe(Effect.provide(Scratch.layer)))

  it.live.each(
    [
      ["CREATE INDEX t_id ON t ((id + 1) DESC, id) INCLUDE (name)", "CREATE INDEX t_id"],
      ["CREATE UNIQUE INDEX t_id ON t ((id + 1) DESC, id)", "CREATE UNIQUE INDEX t_id"],
      ["CREATE UNIQUE INDEX t_id ON u (id)", "no index of t"],
      ["CREATE TABLE t_id ()", "no index of t"],
    ] as const,
  )(
    "is refused in words where its name is taken by %s",
    ([other, words]) =>
      Effect.gen(function* () {
        const { write, migrate, sql, column } = yield* Scratch
        for (const statement of [create, create.replace("CONCURRENTLY", "$& IF NOT EXISTS")]) {
          yield* write(files(statement))
          yield* migrate((migrator) => migrator.up({ to: 1 }))
          if ((yield* oids).length === 0) yield* sql.unsafe(other)
          const error = yield* upFails
          assert.include(error.message, "public.t_id exists, and is not what this statement makes")
          assert.include(error.message, words)
          assert.strictEqual(error.line, 2)
          assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [1])
        }
      }).pipe(Effect.provide(Scratch.layer)),
  )
})
