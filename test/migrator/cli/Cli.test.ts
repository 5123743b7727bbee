import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer, Runtime } from "effect"
import * as Database from "../../../src/database/Database.ts"
import * as Cli from "../../../src/migrator/cli/Cli.ts"
import * as Catalogue from "../../../src/migrator/inspect/Catalogue.ts"
import { Migrator } from "../../../src/migrator/Migrator.ts"
import { Scratch } from "../Scratch.ts"

/** Runs a command line; gives its exit code and what it prints. */
const run = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { connection, directory } = yield* Scratch
  const migrator = Migrator.layerFrom(directory).pipe(
    Layer.provide(Database.layer({ connection })),
  )
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const exit = yield* Cli.run(migrator, directory)(args).pipe(
    Effect.provideService(Console.Console, {
      ...console,
      log: (line: string) => stdout.push(line),
      error: (line: string) => stderr.push(line),
    }),
    Effect.provide(NodeServices.layer),
    Effect.exit,
  )
  const exitCode = yield* Effect.callback<number>((resume) =>
    Runtime.defaultTeardown(exit, (code) => resume(Effect.succeed(code)))
  )
  return { exitCode, stdout: stdout.join("\n"), stderr: stderr.join("\n") }
})

const files = { "0001_a.sql": "CREATE TABLE a ()", "0002_b.sql": "CREATE TABLE b ()" }

describe("migrate", () => {
  it.live("is up without a subcommand", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write(files)
      assert.deepInclude(yield* run("--to", "1"), { exitCode: 0, stdout: "Applied 1 migration." })
      assert.deepInclude(yield* run(), { exitCode: 0, stdout: "Applied 1 migration." })
      assert.deepInclude(yield* run(), { exitCode: 0, stdout: "Nothing to apply." })
      assert.deepStrictEqual(yield* column("SELECT id FROM latchkey_migrations"), [1, 2])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("up --dry-run prints the SQL that it would apply, and changes nothing", () =>
    Effect.gen(function* () {
      const { write, column } = yield* Scratch
      yield* write(files)
      const { stdout } = yield* run("up", "--dry-run")
      assert.strictEqual(
        stdout,
        "-- Would apply migrations/0001_a.sql:\nCREATE TABLE a ()\n" +
          "-- Would apply migrations/0002_b.sql:\nCREATE TABLE b ()",
      )
      const tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
      assert.deepStrictEqual(yield* column(tables), [])
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("up --json tells what was applied, and takes limits with units", () =>
    Effect.gen(function* () {
      yield* (yield* Scratch).write(files)
      const { stdout } = yield* run("up", "--json", "--lock-timeout", "2s", "--wait", "1 minute")
      const { applied } = JSON.parse(stdout)
      assert.deepInclude(applied[1], { id: 2, name: "b" })
      assert.strictEqual((yield* run("up", "--wait", "soon")).exitCode, 1)
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("a failing migration is exit code 1 and a sentence", () =>
    Effect.gen(function* () {
      yield* (yield* Scratch).write({ "0001_a.sql": "SELECT 1;\nSELEC 2;" })
      const { exitCode, stderr } = yield* run()
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, 'migrations/0001_a.sql:2: syntax error at or near "SELEC"')
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("status lists applied and pending, and tells scripts by its exit code", () =>
    Effect.gen(function* () {
      yield* (yield* Scratch).write(files)
      yield* run("--to", "1")
      const { exitCode, stdout } = yield* run("status")
      assert.strictEqual(exitCode, 0)
      assert.match(stdout, /^applied {2}0001_a {2}\d{4}-\d\d-\d\dT.*Z\npending {2}0002_b$/)
      assert.strictEqual((yield* run("status", "--exit-code")).exitCode, 2)
      const json = JSON.parse((yield* run("status", "--json")).stdout)
      assert.deepInclude(json, { current: false, pending: [{ id: 2, name: "b" }], problems: [] })
      assert.hasAllKeys(json.applied[0], ["id", "name", "appliedAt", "durationMs", "version"])
      yield* run()
      assert.strictEqual((yield* run("status", "--exit-code")).exitCode, 0)
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("verify and drift are exit code 1 with findings, else 0", () =>
    Effect.gen(function* () {
      const { write, sql } = yield* Scratch
      yield* write(files)
      yield* run()
      assert.strictEqual((yield* run("verify")).exitCode, 0)
      assert.strictEqual((yield* run("drift")).exitCode, 0)
      yield* sql`DROP TABLE a`
      assert.deepInclude(yield* run("drift"), { exitCode: 1, stdout: "table a is missing" })
      yield* write({ "0001_a.sql": "CREATE TABLE c ()" })
      const { exitCode, stdout } = yield* run("verify", "--json")
      assert.strictEqual(exitCode, 1)
      assert.deepInclude(JSON.parse(stdout).problems[0], { kind: "edited", id: 1, name: "a" })
      assert.strictEqual((yield* run("drift")).exitCode, 1)
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("drift says what it leaves out: in its answer, in its help and in the README", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      yield* (yield* Scratch).write(files)
      yield* run()
      const readme = yield* fs.readFileString(
        new URL("../../../README.md", import.meta.url).pathname,
      )
      for (
        const text of [
          (yield* run("drift")).stdout,
          (yield* run("drift", "--help")).stdout,
          readme,
        ]
      ) {
        assert.include(text.replaceAll(/\s+/g, " "), Catalogue.leftOut)
      }
    }).pipe(Effect.provide([Scratch.layer, NodeServices.layer])))

  it.live("baseline adopts a schema that is there", () =>
    Effect.gen(function* () {
      const { write, sql } = yield* Scratch
      yield* write(files)
      yield* sql`CREATE TABLE a ()`
      yield* sql`CREATE TABLE alembic_version ()`
      const { stdout } = yield* run("baseline", "1")
      assert.include(
        stdout,
        "Recorded 1 migration as applied.\nAlembic's table alembic_version was left",
      )
      assert.strictEqual((yield* run()).stdout, "Applied 1 migration.")
    }).pipe(Effect.provide(Scratch.layer)))

  it.live("new writes the next number, from a template that applies once it has a statement", () =>
    Effect.gen(function* () {
      const { write, directory } = yield* Scratch
      const fs = yield* FileSystem.FileSystem
      yield* write(files)
      const { stdout } = yield* run("new", "Add user phone")
      assert.strictEqual(stdout, `Created ${directory}/0003_add_user_phone.sql`)
      assert.include(yield* fs.readFileString(`${directory}/0003_add_user_phone.sql`), "NOT VALID")
      yield* run("new", "phone-index", "--concurrently")
      const index = yield* fs.readFileString(`${directory}/0004_phone_index.sql`)
      assert.match(index, /^-- no-transaction\n-- compatible-with: 0003\n/)
      assert.strictEqual((yield* run("new", "it's")).exitCode, 1)
      const { exitCode, stderr } = yield* run("--to", "3")
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, "0003_add_user_phone.sql can't be applied")
      const template = yield* fs.readFileString(`${directory}/0003_add_user_phone.sql`)
      yield* write({ "0003_add_user_phone.sql": `${template}SELECT 1;\n` })
      assert.strictEqual((yield* run("--to", "3")).exitCode, 0)
    }).pipe(Effect.provide([Scratch.layer, NodeServices.layer])))

  it.live("explains itself", () =>
    Effect.gen(function* () {
      const { exitCode, stdout } = yield* run("status", "--help")
      assert.strictEqual(exitCode, 0)
      assert.include(stdout, "problems: [{kind, id, name, message}]")
      assert.strictEqual((yield* run("bogus")).exitCode, 1)
      assert.include((yield* run("--completions", "bash")).stdout, "baseline")
    }).pipe(Effect.provide(Scratch.layer)))
})
