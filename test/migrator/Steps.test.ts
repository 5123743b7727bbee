import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { IndexInvalid } from "../../src/migrator/ConcurrentIndex.ts"
import { MigrationFailed } from "../../src/migrator/MigrationFailed.ts"
import { Scratch } from "./Scratch.ts"

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
})
