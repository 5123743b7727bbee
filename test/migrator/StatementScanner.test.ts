import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { statements, tokens } from "../../src/migrator/StatementScanner.ts"

const texts = (sql: string) => statements(sql).map(({ text }) => text)

describe("statements", () => {
  it.each([
    ["SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]],
    [";; SELECT 1 ;;\n;", ["SELECT 1"]],
    ["-- a;b\nSELECT 1 -- c;d\n; -- e", ["SELECT 1"]],
    ["/* a; /* b; */ c; */ SELECT /* ; */ 1;", ["SELECT /* ; */ 1"]],
    ["SELECT 'a;''b;'; SELECT ';'", ["SELECT 'a;''b;'", "SELECT ';'"]],
    ["SELECT 'a\\'; SELECT 2", ["SELECT 'a\\'", "SELECT 2"]],
    ["SELECT E'a\\';b'; SELECT e'\\\\'; SELECT 3", [
      "SELECT E'a\\';b'",
      "SELECT e'\\\\'",
      "SELECT 3",
    ]],
    ["SELECT type'a\\'; SELECT 2", ["SELECT type'a\\'", "SELECT 2"]],
    ['SELECT "a;""b;"; SELECT 2', ['SELECT "a;""b;"', "SELECT 2"]],
    ["SELECT $$a;$b$;$$; SELECT $b$;$$;$b$", ["SELECT $$a;$b$;$$", "SELECT $b$;$$;$b$"]],
    ["SELECT a$b; SELECT c$b$; SELECT $1", ["SELECT a$b", "SELECT c$b$", "SELECT $1"]],
    ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", [
      "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
      "SELECT 3",
    ]],
    [
      "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; " +
      "SELECT CASE WHEN true THEN 2 END; END; SELECT 3",
      [
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; " +
        "SELECT CASE WHEN true THEN 2 END; END",
        "SELECT 3",
      ],
    ],
    ["BEGIN; SELECT 1; END; SELECT 2", ["BEGIN", "SELECT 1", "END", "SELECT 2"]],
    ["SELECT 'never closed; SELECT 2", ["SELECT 'never closed; SELECT 2"]],
    ["SELECT $a$ never; closed", ["SELECT $a$ never; closed"]],
    ["/* never; closed", []],
  ])("of %j", (sql, expected) => {
    assert.deepStrictEqual(texts(sql), expected)
  })

  it("know their lines", () => {
    const lines = statements("-- 1\n\n/* 3\n4 */ SELECT '5\n6'; SELECT 6;\nSELECT 7")
      .map(({ line }) => line)
    assert.deepStrictEqual(lines, [4, 5, 6])
  })
})

describe("tokens", () => {
  it.prop("joined are the script again", [Schema.String], ([script]) => {
    assert.strictEqual(tokens(script).map(({ text }) => text).join(""), script)
  })
})
