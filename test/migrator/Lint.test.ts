import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import * as Lint from "../../src/migrator/Lint.ts"
import * as MigrationDirectory from "../../src/migrator/MigrationDirectory.ts"

const lint = Effect.fnUntraced(function* (files: Readonly<Record<string, string>>) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-lint-" })
  for (const [name, content] of Object.entries(files)) {
    yield* fs.writeFileString(`${directory}/${name}`, content)
  }
  const findings = yield* Lint.run(directory, yield* MigrationDirectory.read(directory))
  return findings.map(({ file, line, rule }) => `${file}:${line} ${rule}`)
}, Effect.provide(NodeServices.layer))

describe("lint", () => {
  it.live("finds what locks a table that may be large or breaks the version before", () =>
    Effect.gen(function* () {
      const found = yield* lint({
        "0001_a.sql": "ALTER TABLE users ADD COLUMN age bigint NOT NULL;\n" +
          "ALTER TABLE users ADD CONSTRAINT c CHECK (id IS NOT NULL);\n" +
          "ALTER TABLE users ALTER COLUMN name TYPE bigint USING 1;\n" +
          "ALTER TABLE users RENAME COLUMN email TO mail;\n" +
          "DROP TABLE users;\n",
        "0002_b.sql": "CREATE INDEX i ON users (name);\n",
      })
      assert.includeMembers(found, [
        "0001_a.sql:1 adding-required-field",
        "0001_a.sql:2 constraint-missing-not-valid",
        "0001_a.sql:3 changing-column-type",
        "0001_a.sql:4 renaming-column",
        "0001_a.sql:5 ban-drop-table",
        "0002_b.sql:1 require-concurrent-index-creation",
      ])
    }))

  it.live("lets pass what is safe: new tables, concurrent indexes, constraints that are not valid", () =>
    Effect.gen(function* () {
      const found = yield* lint({
        "0001_a.sql":
          "CREATE TABLE t (id uuid PRIMARY KEY, a text);\nCREATE INDEX t_a ON t (a);\n" +
          "ALTER TABLE t ADD CONSTRAINT c CHECK (a <> '') NOT VALID;\n",
        "0002_b.sql": "-- no-transaction\nCREATE INDEX CONCURRENTLY t_b ON t (a);\n",
      })
      assert.deepStrictEqual(found, [])
    }))

  it.live("finds what keeps a file from being applied", () =>
    Effect.gen(function* () {
      const found = yield* lint({
        "0001_a.sql": "-- Nothing yet.\n",
        "0002_b.sql": "-- no-transaction\nBEGIN;\nSELECT 1;\n",
      })
      assert.includeMembers(found, [
        "0001_a.sql:1 cannot-be-applied",
        "0002_b.sql:2 cannot-be-applied",
      ])
    }))

  it.live("accepts a finding with a reason only", () =>
    Effect.gen(function* () {
      const index = "-- squawk-ignore require-concurrent-index-creation\nCREATE INDEX i ON t (a);\n"
      const found = yield* lint({
        "0001_a.sql": `-- Ten rows in every deployment.\n${index}`,
        "0002_b.sql": index,
      })
      assert.deepStrictEqual(found, ["0002_b.sql:1 ignore-without-reason"])
    }))
})
