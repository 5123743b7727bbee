import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import * as MigrationDirectory from "../../src/migrator/MigrationDirectory.ts"
import { MigrationFile, MigrationFileInvalid } from "../../src/migrator/MigrationFile.ts"

const parse = (name: string, content: string | Uint8Array) =>
  MigrationFile.parse(
    name,
    typeof content === "string" ? new TextEncoder().encode(content) : content,
  )

describe("a migration file", () => {
  it.effect("has its number and name from the file's name", () =>
    Effect.gen(function* () {
      const file = yield* parse("0012_add_2_columns.sql", "SELECT 1")
      assert.deepStrictEqual([file.id, file.name, file.noTransaction], [12, "add_2_columns", false])
    }))

  it.effect.each([
    "1_a.sql",
    "0000_a.sql",
    "0001.sql",
    "0001_A.sql",
    "0001_a-b.sql",
    "0001__a.sql",
    "0001_a_.sql",
    "1234567890_a.sql",
    "a.sql",
  ])("is refused as %s", (name) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(parse(name, "SELECT 1"))
      assert.instanceOf(error, MigrationFileInvalid)
      assert.include(error.message, name)
    }))

  it.effect("is refused by name with a byte order mark or broken UTF-8", () =>
    Effect.gen(function* () {
      const mark = yield* Effect.flip(parse("0001_a.sql", "\uFEFFSELECT 1"))
      assert.include(mark.message, "0001_a.sql begins with a byte order mark")
      const broken = yield* Effect.flip(parse("0001_a.sql", Uint8Array.of(0x2d, 0x2d, 0xe9)))
      assert.include(broken.message, "0001_a.sql is not valid UTF-8")
    }))

  it.effect("has one checksum whatever its line ends", () =>
    Effect.gen(function* () {
      const [lf, crlf, other] = yield* Effect.all([
        parse("0001_a.sql", "a\nb\n"),
        parse("0001_a.sql", "a\r\nb\r\n"),
        parse("0001_a.sql", "a\nb"),
      ])
      assert.strictEqual(lf.sha256, crlf.sha256)
      assert.notStrictEqual(lf.sha256, other.sha256)
      // printf 'a\nb\n' | sha256sum
      assert.strictEqual(
        lf.sha256,
        "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2",
      )
    }))

  it.effect("leaves the transaction only with the header as its first line", () =>
    Effect.gen(function* () {
      const first = yield* parse("0001_a.sql", "-- no-transaction\r\nSELECT 1")
      const second = yield* parse("0001_a.sql", "-- why\n-- no-transaction\nSELECT 1")
      assert.deepStrictEqual([first.noTransaction, second.noTransaction], [true, false])
    }))

  it.effect("says in its header which code may keep running", () =>
    Effect.gen(function* () {
      const header = "-- Why.\n\n-- compatible-with: 0003\n"
      assert.strictEqual((yield* parse("0005_a.sql", `${header}SELECT 1`)).compatibleWith, 3)
      assert.isNull((yield* parse("0005_a.sql", `SELECT 1;\n${header}`)).compatibleWith)
      const error = yield* Effect.flip(parse("0003_a.sql", header))
      assert.include(error.message, "compatible-with")
    }))
})

describe("a directory of migrations", () => {
  it.effect("is refused with two files of one number", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(`${directory}/0001_a.sql`, "SELECT 1")
      yield* fs.writeFileString(`${directory}/0001_b.sql`, "SELECT 1")
      const error = yield* Effect.flip(MigrationDirectory.read(directory))
      assert.include(error.message, "0001_b.sql has the number of 0001_a.sql")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("that can't be read is named", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(MigrationDirectory.read("/nowhere/migrations"))
      assert.include(error.message, "/nowhere/migrations")
    }).pipe(Effect.provide(NodeServices.layer)))
})
