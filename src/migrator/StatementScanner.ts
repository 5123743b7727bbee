/**
 * Where the statements of a script end, as psql sees it: at a semicolon outside quotes, comments,
 * parentheses and SQL-standard function bodies (`BEGIN ATOMIC … END`).
 *
 * Assumes `standard_conforming_strings = on`, PostgreSQL's default.
 */

/** A piece of SQL text that belongs together; `start` and `end` are offsets into the script. */
export interface Token {
  readonly kind: "space" | "comment" | "quoted" | "word" | "symbol"
  readonly text: string
  readonly start: number
  readonly end: number
}

/** A statement without its semicolon and without the comments around it. */
export interface Statement {
  readonly text: string
  /** Offset of its first character in the script. */
  readonly start: number
  /** Line of its first character, counted from 1. */
  readonly line: number
  /** Its words, quoted parts and symbols, without blanks and comments. */
  readonly tokens: ReadonlyArray<Token>
}

// Sticky, in the order in which they must be tried. An unterminated quote runs to the end of the
// script, where PostgreSQL will complain about it.
const patterns = [
  ["space", /\s+/y],
  ["comment", /--[^\n]*/y],
  ["quoted", /[eE]'[^'\\]*(?:(?:\\[^]|'')[^'\\]*)*(?:'|$)/y],
  ["quoted", /'[^']*(?:''[^']*)*(?:'|$)/y],
  ["quoted", /"[^"]*(?:""[^"]*)*(?:"|$)/y],
  ["quoted", /(\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)[^]*?(?:\1|$)/y],
  ["word", /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y],
  ["symbol", /\d[\w.]*|[^]/y],
] as const

const blockCommentEnd = (sql: string, start: number) => {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let match = edge.exec(sql); match !== null; match = edge.exec(sql)) {
    depth += match[0] === "/*" ? 1 : -1
    if (depth === 0) {
      return edge.lastIndex
    }
  }
  return sql.length
}

const tokenAt = (sql: string, start: number): Token => {
  if (sql.startsWith("/*", start)) {
    const end = blockCommentEnd(sql, start)
    return { kind: "comment", text: sql.slice(start, end), start, end }
  }
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = start
    const text = pattern.exec(sql)?.[0]
    if (text !== undefined) {
      return { kind, text, start, end: start + text.length }
    }
  }
  return { kind: "symbol", text: sql.slice(start), start, end: sql.length }
}

/** Cuts a script into tokens; joined they are the script again. */
export const tokens = (sql: string): ReadonlyArray<Token> => {
  const found: Array<Token> = []
  for (let start = 0; start < sql.length;) {
    const token = tokenAt(sql, start)
    found.push(token)
    start = token.end
  }
  return found
}

const isRoutine = (statement: ReadonlyArray<Token>) =>
  /^CREATE (OR REPLACE )?(FUNCTION|PROCEDURE)\b/i
    .test(statement.slice(0, 4).map((token) => token.text).join(" "))

/** How many `BEGIN`s and `CASE`s of a function body a word opens (1) or closes (-1). */
const bodyStep = (word: string, depth: number) => {
  switch (word.toUpperCase()) {
    case "BEGIN":
      return 1
    case "CASE":
      return depth > 0 ? 1 : 0
    case "END":
      return depth > 0 ? -1 : 0
    default:
      return 0
  }
}

/** The statements of a script, in order; empty ones are left out. */
export const statements = (sql: string): ReadonlyArray<Statement> => {
  const found: Array<Statement> = []
  let current: Array<Token> = []
  let parentheses = 0
  let body = 0
  const finish = () => {
    const [first, last] = [current.at(0), current.at(-1)]
    if (first !== undefined && last !== undefined) {
      found.push({
        text: sql.slice(first.start, last.end),
        start: first.start,
        line: sql.slice(0, first.start).split("\n").length,
        tokens: current,
      })
    }
    current = []
    parentheses = 0
    body = 0
  }
  for (const token of tokens(sql)) {
    if (token.kind === "space" || token.kind === "comment") {
      continue
    }
    if (token.text === ";" && parentheses === 0 && body === 0) {
      finish()
      continue
    }
    if (token.text === "(") {
      parentheses += 1
    } else if (token.text === ")") {
      parentheses -= 1
    } else if (token.kind === "word" && isRoutine(current)) {
      body += bodyStep(token.text, body)
    }
    current.push(token)
  }
  finish()
  return found
}
