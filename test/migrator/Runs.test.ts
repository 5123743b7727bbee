import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Deferred, Effect, Fiber, Path, Schedule } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { Scratch } from "./Scratch.ts"

const program = (name: string) =>
  Path.Path.use((path) => path.fromFileUrl(new URL(name, import.meta.url)))

/** Runs one of our programs on the test's database. */
const run = Effect.fnUntraced(function* (name: string, args: ReadonlyArray<string>) {
  const { url } = yield* Scratch
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  return yield* spawner.spawn(
    ChildProcess.make(Deno.execPath(), ["run", "-A", yield* program(name), ...args], {
      env: { DATABASE_URL: url },
      extendEnv: true,
      stdout: "ignore",
      stderr: "ignore",
    }),
  )
})

const exitCode = (name: string, args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.flatMap(run(name, args), (handle) => handle.exitCode))

/** Looks until a query has rows; the test's own time limit bounds it. */
const until = (statement: string) =>
  Scratch.use(({ column }) =>
    Effect.repeat(column(statement), {
      until: (rows) => rows.length > 0,
      schedule: Schedule.spaced("20 millis"),
    })
  )

const up = Scratch.use(({ migrate }) => migrate((migrator) => migrator.up()))

const sleeping = `
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND query LIKE '%pg_sleep(3600)%' AND state = 'active'
    AND query NOT LIKE '%pg_stat_activity%'`

describe("runs of migrate", () => {
  it.live("that start together apply everything once and all succeed", () =>
    Effect.gen(function* () {
      const { column } = yield* Scratch
      const codes = yield* Effect.all(
        Array.from({ length: 6 }, () => exitCode("../../src/bin/migrate.ts", [])),
        { concurrency: "unbounded" },
      )
      assert.deepStrictEqual(codes.map(Number), [0, 0, 0, 0, 0, 0])
      const ids = yield* column("SELECT id FROM latchkey_migrations ORDER BY id")
      assert.deepStrictEqual(ids, ids.map((_, index) => index + 1))
      assert.deepStrictEqual(
        yield* column("SELECT migration_id FROM effect_sql_migrations ORDER BY 1"),
        ids,
      )
    }).pipe(Effect.provide([Scratch.layer, NodeServices.layer])))

  it.live.each(
    [
      ["in a transaction", "", null],
      ["step by step", "-- no-transaction\n", "half"],
    ] as const,
  )("that are killed in the middle of a file leave whole migrations: %s", ([
    ,
    header,
    half,
  ]) =>
    Effect.gen(function* () {
      const { write, directory, column } = yield* Scratch
      yield* write({
        "0001_first.sql": "CREATE TABLE whole ();",
        "0002_second.sql":
          `${header}CREATE TABLE half (); SELECT pg_sleep(3600); CREATE TABLE rest ();`,
      })
      const handle = yield* run("migrateDirectory.ts", [directory])
      const [pid] = yield* until(sleeping)
      yield* handle.kill({ killSignal: "SIGKILL" })
      // PostgreSQL notices by itself that the client is gone, long before the hour is over.
      yield* until(`SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ${pid})`)
      assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [1])
      assert.deepStrictEqual(yield* column("SELECT to_regclass('half')::text"), [half])
      assert.deepStrictEqual(yield* column("SELECT to_regclass('rest')::text"), [null])
      yield* write({
        "0002_second.sql": `${header}CREATE TABLE half (); SELECT 1; CREATE TABLE rest ();`,
      })
      // Mended; step by step, it goes on after the table that is there.
      assert.deepStrictEqual((yield* up).map(({ file }) => file.id), [2])
    }).pipe(Effect.scoped, Effect.provide([Scratch.layer, NodeServices.layer])))

  it.live.each(
    [
      "CREATE INDEX CONCURRENTLY t_id ON t (id)",
      "DROP INDEX CONCURRENTLY IF EXISTS t_old",
      "VACUUM t",
      "INSERT INTO t VALUES (7)",
      "ALTER TABLE t ADD CONSTRAINT t_check CHECK (id > 0) NOT VALID",
      "CREATE TABLE made ()",
    ],
  )(
    "that are killed between a statement and its note go on from there: %s",
    (statement) =>
      Effect.gen(function* () {
        const { write, directory, column, sql, connection } = yield* Scratch
        yield* write({
          "0001_t.sql": "CREATE TABLE t (id int); CREATE INDEX t_old ON t (id); " +
            "CREATE TABLE gate (); CREATE TABLE note_gate ();",
          // Makes the table of notes.
          "0002_a.sql": "-- no-transaction\nSELECT 1;",
        })
        yield* up
        yield* write({ "0003_b.sql": `-- no-transaction\nLOCK TABLE gate;\n${statement};` })

        const opened = yield* Deferred.make<void>()
        const gate = yield* sql`LOCK TABLE gate`.pipe(
          Effect.andThen(Deferred.await(opened)),
          sql.withTransaction,
          Effect.forkChild,
        )
        const handle = yield* run("migrateDirectory.ts", [directory])
        const waiting = (query: string) => `
        SELECT pid FROM pg_stat_activity
        WHERE datname = '${connection.database}' AND wait_event_type = 'Lock' AND query LIKE '${query}'`
        yield* until(waiting("LOCK TABLE gate%"))
        // Notes have to wait from here on, the first one, of the gate, excepted.
        const killed = yield* Deferred.make<void>()
        const noteOf = (position: number) => `
        CREATE FUNCTION hold_note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF NEW.position = ${position} THEN
            LOCK TABLE public.note_gate;
          END IF;
          RETURN NEW;
        END $$`
        yield* sql.unsafe(noteOf(1))
        yield* sql`
        CREATE TRIGGER hold_note BEFORE INSERT ON latchkey_migration_steps
        FOR EACH ROW EXECUTE FUNCTION hold_note()`
        const note = yield* sql`LOCK TABLE note_gate`.pipe(
          Effect.andThen(Deferred.await(killed)),
          sql.withTransaction,
          Effect.forkChild,
        )
        yield* Deferred.succeed(opened, undefined)
        yield* Fiber.join(gate)
        const [pid] = yield* until(waiting("%INSERT INTO public.latchkey_migration_steps%"))
        yield* handle.kill({ killSignal: "SIGKILL" })
        yield* until(`SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ${pid})`)
        yield* Deferred.succeed(killed, undefined)
        yield* Fiber.join(note)
        yield* sql`DROP FUNCTION hold_note CASCADE`

        assert.deepStrictEqual((yield* up).map(({ file }) => file.id), [3])
        assert.isAtMost((yield* column("SELECT id FROM t")).length, 1)
        assert.deepStrictEqual(yield* column("SELECT position FROM latchkey_migration_steps"), [])
      }).pipe(Effect.scoped, Effect.provide([Scratch.layer, NodeServices.layer])),
  )

  it.live("give up a lock after a while, so that others need not queue, and try again", () =>
    Effect.gen(function* () {
      const { write, migrate, sql } = yield* Scratch
      yield* sql`CREATE TABLE busy ()`
      yield* write({ "0001_a.sql": "ALTER TABLE busy ADD COLUMN id int;" })
      const gaveUp = yield* Deferred.make<void>()
      const holder = yield* sql`LOCK TABLE busy IN ACCESS SHARE MODE`.pipe(
        Effect.andThen(Deferred.await(gaveUp)),
        sql.withTransaction,
        Effect.forkChild,
      )
      const waiter = yield* Effect.forkChild(
        migrate((migrator) => migrator.up({ lockTimeout: "50 millis" })),
      )
      yield* until(`SELECT 1 FROM pg_stat_database
        WHERE datname = current_database() AND xact_rollback > 0`)
      yield* Deferred.succeed(gaveUp, undefined)
      yield* Fiber.join(holder)
      assert.deepStrictEqual((yield* Fiber.join(waiter)).map(({ file }) => file.id), [1])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("give up altogether when their time is over, and say what was in the way", () =>
    Effect.gen(function* () {
      const { write, migrate, sql, column } = yield* Scratch
      yield* sql`CREATE TABLE busy ()`
      yield* write({ "0001_a.sql": "ALTER TABLE busy ADD COLUMN id int;" })
      const limits = { lockTimeout: "20 millis", wait: "300 millis" } as const
      const error = yield* sql`LOCK TABLE busy IN ACCESS SHARE MODE`.pipe(
        Effect.andThen(Effect.flip(migrate((migrator) => migrator.up(limits)))),
        sql.withTransaction,
      )
      assert.strictEqual(error._tag, "MigrationLocked")
      assert.include(error.message, "migrations/0001_a.sql")
      assert.include(error.message, "--wait")
      assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("wait for one that is under way no longer than they are told", () =>
    Effect.gen(function* () {
      const { write, migrate, column } = yield* Scratch
      yield* write({ "0001_a.sql": "SELECT pg_sleep(3600)" })
      const other = yield* Effect.forkChild(up)
      const [pid] = yield* until(sleeping)
      const error = yield* Effect.flip(migrate((migrator) => migrator.up({ wait: "100 millis" })))
      assert.strictEqual(error._tag, "MigrationLocked")
      assert.include(error.message, "Another migration run")
      // An interrupted run takes its statement with it.
      yield* Fiber.interrupt(other)
      yield* until(`SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ${pid})`)
      assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [])
    }).pipe(Effect.provide(Scratch.layer)))
})
