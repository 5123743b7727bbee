import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import {
  DatabaseAhead,
  MigrationsPending,
  MigrationsTampered,
} from "../../src/migrator/Comparison.ts"
import { Scratch } from "./Scratch.ts"

const verified = Scratch.use(({ migrate }) =>
  Effect.map(
    migrate((migrator) => migrator.verify),
    (problems) => problems.map(({ kind, name }) => `${kind} ${name}`),
  )
)

const current = Scratch.use(({ migrate }) => migrate((migrator) => migrator.requireCurrent))

const up = Scratch.use(({ migrate }) => migrate((migrator) => migrator.up()))

describe("requireCurrent", () => {
  it.live("fails with what is pending, also where nothing was ever applied", () =>
    Effect.gen(function* () {
      const { write } = yield* Scratch
      yield* write({ "0001_a.sql": "SELECT 1", "0002_b.sql": "SELECT 2" })
      const error = yield* Effect.flip(current)
      assert.instanceOf(error, MigrationsPending)
      assert.include(error.message, "0001_a.sql, 0002_b.sql; run `deno task migrate`")
      yield* up
      yield* current
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("does not wait for a migration under way", () =>
    Effect.gen(function* () {
      const { write, sql } = yield* Scratch
      yield* write({ "0001_a.sql": "SELECT 1" })
      yield* up
      const exit = yield* sql`LOCK TABLE public.effect_sql_migrations IN ACCESS EXCLUSIVE MODE`
        .pipe(
          Effect.andThen(current),
          sql.withTransaction,
          Effect.timeout("5 minutes"),
          Effect.exit,
        )
      assert.isTrue(Exit.isSuccess(exit), String(exit))
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("lets code run on a newer database only if the newer migrations say so", () =>
    Effect.gen(function* () {
      const { write, remove } = yield* Scratch
      const files = {
        "0001_a.sql": "SELECT 1",
        "0002_b.sql": "SELECT 2",
        "0003_c.sql": "-- Adds a column.\n-- compatible-with: 0002\nSELECT 3",
      }
      yield* write(files)
      yield* up
      yield* remove("0003_c.sql")
      yield* current
      assert.deepStrictEqual(yield* up, [])
      assert.deepStrictEqual(yield* verified, ["ahead c"])
      yield* remove("0002_b.sql")
      const error = yield* Effect.flip(current)
      assert.instanceOf(error, DatabaseAhead)
      assert.include(error.message, "0002_b")
      assert.include(error.message, "0003_c")
      assert.instanceOf(yield* Effect.flip(up), DatabaseAhead)
    }).pipe(Effect.provide(Scratch.layer)))
})

describe("verify", () => {
  it.live("names edited, renamed, missing and late migrations, and up refuses to go on", () =>
    Effect.gen(function* () {
      const { write, remove, column } = yield* Scratch
      yield* write({
        "0001_a.sql": "SELECT 1\n",
        "0003_c.sql": "SELECT 3",
        "0004_d.sql": "SELECT 4",
        "0006_f.sql": "SELECT 6",
      })
      yield* up
      assert.deepStrictEqual(yield* verified, [])
      yield* remove("0003_c.sql")
      yield* remove("0004_d.sql")
      yield* write({
        "0001_a.sql": "SELECT 1; ",
        "0003_renamed.sql": "SELECT 3",
        "0005_late.sql": "CREATE TABLE late ()",
        "0007_g.sql": "CREATE TABLE next ()",
      })
      assert.deepStrictEqual(yield* verified, [
        "edited a",
        "renamed renamed",
        "outOfOrder late",
        "missing d",
      ])
      const error = yield* Effect.flip(up)
      assert.instanceOf(error, MigrationsTampered)
      assert.include(error.message, "0005_late.sql is not applied, but 0006_f is")
      assert.instanceOf(yield* Effect.flip(current), MigrationsTampered)
      assert.deepStrictEqual(yield* column("SELECT to_regclass('next')::text"), [null])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("sees no difference between line ends", () =>
    Effect.gen(function* () {
      const { write } = yield* Scratch
      yield* write({ "0001_a.sql": "SELECT 1;\nSELECT 2;\n" })
      yield* up
      yield* write({ "0001_a.sql": "SELECT 1;\r\nSELECT 2;\r\n" })
      assert.deepStrictEqual(yield* verified, [])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("names what was applied by other means", () =>
    Effect.gen(function* () {
      const { write, sql } = yield* Scratch
      yield* write({ "0001_a.sql": "SELECT 1", "0002_b.sql": "SELECT 2" })
      yield* up
      yield* sql`DELETE FROM public.latchkey_migrations WHERE id = 2`
      assert.deepStrictEqual(yield* verified, ["unrecorded b"])
      assert.instanceOf(yield* Effect.flip(up), MigrationsTampered)
    }).pipe(Effect.provide(Scratch.layer)))
})
