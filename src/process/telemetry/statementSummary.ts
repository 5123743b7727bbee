/**
 * What a statement does to which tables, in a few words that are the same whatever its values
 * (https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query).
 */

/** Statements name tables with their schema, and in this way only. */
const target = /\b(INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN)\s+(?:ONLY\s+)?"?public"?\."?(\w+)/g

const longest = 255

const summarize = (text: string): string => {
  const found = Array.from(text.matchAll(target), ([, words = "", table = ""]) => ({
    operation: words.split(" ", 1)[0] ?? "",
    table,
  }))
  const writes = found.filter(({ operation }) => operation !== "FROM" && operation !== "JOIN")
    .map(({ operation, table }) => `${operation} ${table}`)
  if (writes.length > 0) return [...new Set(writes)].join(" ").slice(0, longest)
  const [read] = found
  const operation = /^[\s(]*([a-z]+)/i.exec(text)?.[1]?.toUpperCase() ?? "SQL"
  if (read === undefined) return operation
  return `${operation === "WITH" ? "SELECT" : operation} ${read.table}`
}

/** Texts come again and again: how many of them a memory keeps. */
const remembered = 1_000

/** Makes a function that summarizes statements, and remembers those that it has seen. */
export const makeSummarize = () => {
  const summaries = new Map<string, string>()
  return (text: string): string => {
    const known = summaries.get(text)
    if (known !== undefined) return known
    const summary = summarize(text)
    if (summaries.size >= remembered) summaries.clear()
    summaries.set(text, summary)
    return summary
  }
}
