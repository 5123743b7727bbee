import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { statements, tokens } from "../../src/migrator/StatementScanner.ts"
import { anyOf, anyString, oneOf, text } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"

/** Texts with what ends a statement, or seems to begin a quote or a comment. */
const tricky = Arbitrary.map(
  Arbitrary.array(
    anyOf<string>(
      oneOf(";", "'", '"', "$$", "$b$", "--", "/*", "*/", "\\", "\n", "(", ")", "BEGIN", "END"),
      text,
    ),
    { maxLength: 8 },
  ),
  (pieces) => pieces.join(" "),
)

/** One lexical element of a statement, in the way of each kind of quote. */
const element = anyOf<string>(
  oneOf("SELECT", "a", "1", "$1", "+", "CASE", "END", "BEGIN", "a$b$c", "type"),
  Arbitrary.map(tricky, (content) => `'${content.replaceAll("'", "''")}'`),
  Arbitrary.map(tricky, (content) => `E'${content.replaceAll(/['\\]/g, "\\$&")}'`),
  Arbitrary.map(tricky, (content) => `"${content.replaceAll('"', '""')}"`),
  Arbitrary.map(tricky, (content) => `$quote$${content}$quote$`),
  Arbitrary.map(tricky, (content) => `$$${content.replaceAll("$", "")}$$`),
  Arbitrary.map(tricky, (content) => `(${content.replaceAll(/[^a-z;]/g, "")})`),
)

const comment = anyOf<string>(
  Arbitrary.map(tricky, (content) => `--${content.replaceAll("\n", " ")}\n`),
  Arbitrary.map(
    tricky,
    (content) => `/*${content.replaceAll(/\/\*|\*\//g, "")} /* nested; */ ; */`,
  ),
)

const space = oneOf(" ", "\n", "\t", "\r\n", "  ")

const statement = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([element, anyOf<string>(space, comment)]), {
    minLength: 1,
    maxLength: 6,
  }),
  (parts) =>
    parts.map(([element, gap], index) => index < parts.length - 1 ? `${element} ${gap}` : element)
      .join(" "),
)

describe("statements", () => {
  it.prop(
    "are found again in a script that is made of them, whatever is in their quotes",
    [
      Arbitrary.array(statement, { maxLength: 6 }),
      anyOf<string>(space, comment),
    ],
    ([parts, between]) => {
      const script = parts.map((part) => `${between}${part}${between};`).join("")
      assert.deepStrictEqual(statements(script).map(({ text }) => text), parts)
    },
    checks(500),
  )

  it.prop(
    "are slices of any script, with nothing between them but blanks, comments and semicolons",
    [anyOf(anyString, tricky)],
    ([script]) => {
      const rest: Array<string> = []
      let end = 0
      for (const statement of statements(script)) {
        assert.isAtLeast(statement.start, end)
        rest.push(script.slice(end, statement.start))
        end = statement.start + statement.text.length
        assert.strictEqual(script.slice(statement.start, end), statement.text)
        assert.strictEqual(
          statement.line,
          script.slice(0, statement.start).replaceAll(/[^\n]/g, "").length + 1,
        )
      }
      rest.push(script.slice(end))
      for (const { kind, text } of rest.flatMap(tokens)) {
        assert.isTrue(kind === "space" || kind === "comment" || text === ";", text)
      }
    },
    checks(500),
  )
})
