/**
 * What the service answers, and what must hold for every such answer.
 */
import { assert } from "@effect/vitest"
import { Schema } from "effect"

export interface JsonObject {
  readonly [name: string]: unknown
}

/** An answer as it came over the wire; header names are in lower case. */
export interface Answer {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly text: string
  /** The body as JSON, `{}` when it is none. */
  readonly json: JsonObject
}

const parseObject = Schema.decodeSync(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)),
)

export const makeAnswer = (
  status: number,
  headers: { readonly [name: string]: string },
  text: string,
): Answer => ({
  status,
  headers,
  text,
  json: text !== "" && (headers["content-type"] ?? "").includes("json") ? parseObject(text) : {},
})

const Problem = Schema.Struct({
  type: Schema.String,
  title: Schema.NonEmptyString,
  status: Schema.Int,
  detail: Schema.optionalKey(Schema.String),
  errors: Schema.optionalKey(
    Schema.Array(Schema.Struct({ path: Schema.NonEmptyString, message: Schema.NonEmptyString })),
  ),
  userId: Schema.optionalKey(Schema.NonEmptyString),
  sessionId: Schema.optionalKey(Schema.NonEmptyString),
  sessionIsLive: Schema.optionalKey(Schema.Boolean),
  limits: Schema.optionalKey(Schema.Array(Schema.Unknown)),
})

const decodeProblem = Schema.decodeUnknownSync(Problem, { onExcessProperty: "error" })

/** Asserts that the answer is a problem that clients can rely on, and gives it. */
export const assertProblem = (answer: Answer, status: number, name: string) => {
  assert.strictEqual(answer.status, status, answer.text.slice(0, 500))
  assert.strictEqual(answer.headers["content-type"], "application/problem+json")
  const problem = decodeProblem(answer.json)
  assert.strictEqual(problem.type, `https://latchkey.dev/problems/${name}`)
  assert.strictEqual(problem.status, status)
  assert.strictEqual(problem.errors !== undefined, status === 400)
  return problem
}

/** Asserts that the request was refused for what these paths name, and for nothing else. */
export const assertInvalid = (answer: Answer, ...paths: ReadonlyArray<string>) => {
  const { errors = [] } = assertProblem(answer, 400, "invalid-request")
  assert.deepStrictEqual([...new Set(errors.map(({ path }) => path))].sort(), [...paths].sort())
}

/** Asserts that hostile input was refused, one way or the other, by a problem. */
export const assertRefused = (answer: Answer) => {
  assert.isTrue(
    answer.status >= 400 && answer.status < 500,
    `${answer.status}: ${answer.text.slice(0, 500)}`,
  )
  const { type } = decodeProblem(answer.json)
  assertProblem(answer, answer.status, type.slice("https://latchkey.dev/problems/".length))
}

/** Asserts a successful JSON answer, and gives its body. */
export const assertJson = (answer: Answer, status: number): JsonObject => {
  assert.strictEqual(answer.status, status, answer.text.slice(0, 500))
  assert.strictEqual(answer.headers["content-type"], "application/json")
  return answer.json
}

const decodePage = Schema.decodeUnknownSync(
  Schema.Struct({
    items: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)),
    nextCursor: Schema.NullOr(Schema.String),
  }),
  { onExcessProperty: "error" },
)

/** Asserts a page of a list, and gives it. */
export const assertPage = (answer: Answer) => decodePage(assertJson(answer, 200))

/** The value of a property that must be a string. */
export const stringAt = (json: JsonObject, name: string): string => {
  const value = json[name]
  assert.isString(value, `${name} of ${JSON.stringify(json)}`)
  return String(value)
}
