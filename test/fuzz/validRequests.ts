/**
 * Requests as the OpenAPI document asks for them, up to its limits.
 */
import { Arbitrary } from "effect"
import { anyOf, between, oneOf, text } from "../support/arbitraries.ts"
import { arrayAt, type Json, type JsonObject, objectAt, resolve } from "./JsonSchema.ts"
import type { DocumentedOperation, Parameter } from "./OpenApiDocument.ts"

export interface Request {
  /** Of the operation. */
  readonly id: string
  /** Path parameters, percent-encoded. */
  readonly path: Readonly<Record<string, string>>
  /** Percent-encoded. */
  readonly query: ReadonlyArray<readonly [string, string]>
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Whether something was made wrong on purpose, or may be. */
  readonly isTouched: boolean
}

const ids = ["1", "2", "3", "4", "f"].map((digit) => `${digit}0000000-0000-4000-8000-00000000000f`)
// Enough values that are free for rows to be created, whatever else is wrong with most requests.
const free = Array.from({ length: 12 }, (_, index) => index + 10)
const emails = [
  "ada@example.com",
  "a+b@example.com",
  "a%2Bb/c?d#e@example.com",
  "o'b@example.com",
  `${"a".repeat(242)}@example.com`,
  ...free.map((number) => `free.${number}@example.com`),
]
const googleIds = ["g", "a/b+c %2B", "é".repeat(255), "G", ...free.map((number) => `g${number}`)]
const tokenIds = ["1", "2", "3", "4", "5"].map((digit) =>
  `00000000-0000-4000-8000-0000000000${digit}f`
)
const hashes = ["h1", "a/b", "50%", "a+b %2B", "😀", "h2", "H2", "h".repeat(512)]

/** Of the values that requests are made of, those of rows that should be there. */
export const existing = {
  users: ids.slice(0, 3).map((id, index) => ({
    id,
    email: emails[index],
    googleId: googleIds[index],
  })),
  tokens: tokenIds.map((id, index) => ({ id, tokenHash: hashes[index], userId: ids[0] })),
}

/** What a schema alone cannot say: values that meet each other, and formats of our own. */
const examples: Readonly<Record<string, ReadonlyArray<string>>> = {
  "id": [...ids, ...ids, "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF"],
  "userId": ids,
  "idempotency-key": [
    ...ids,
    ...free.map((number) => `000000${number}-0000-4000-8000-00000000000f`),
  ],
  "email": [...emails, "ADA@example.com"],
  "googleId": googleIds,
  "tokenHash": hashes,
  "exceptTokenHash": hashes,
  "sessionId": tokenIds,
  "exceptSessionId": tokenIds,
  "reason": ["logout", "device-lost", "x", "a".repeat(64), "rotated-by-hand", "z9--"],
  "userVersion": ["1", "2", "3", "0", "x".repeat(64)],
  "ipAddress": ["192.0.2.1", "2001:DB8:0::1", "::ffff:192.0.2.1"],
  "if-match": ["*", `"1"`, `W/"1", "2"`],
  "if-none-match": ["*", `"1"`, `W/"1", "2"`],
}

const instants = [
  "2999-12-31T23:59:59Z",
  "2999-06-30t12:00:00.123456789+05:30",
  "2001-01-01T00:00:00-23:59",
  "0001-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999Z",
]

const absent = Symbol("absent")

const validString = (schema: JsonObject): Arbitrary.Arbitrary<Json> => {
  if (schema.format === "date-time") return oneOf<Json>(...instants)
  const minimum = Number(schema.minLength ?? 0)
  const maximum = Number(schema.maxLength ?? 2_000)
  const fitting = Arbitrary.map(
    text,
    (value) => [...value].slice(0, maximum).join("").padEnd(minimum, "x"),
  )
  return anyOf<Json>(
    fitting,
    oneOf("x".repeat(Math.max(minimum, 1)), "x".repeat(maximum), "😀".repeat(maximum)),
  )
}

/** A value that is as the schema of this property or parameter says. */
const valid = (
  document: JsonObject,
  given: JsonObject,
  name: string,
): Arbitrary.Arbitrary<Json> => {
  const resolved = resolve(document, given)
  const schema: JsonObject = Object.assign({}, resolved, ...arrayAt(resolved.allOf))
  const [options, literals] = [arrayAt(schema.anyOf), arrayAt(schema.enum)]
  if (options.length > 0) {
    return anyOf(...options.map((option) => valid(document, objectAt(option), name)))
  }
  if (literals.length > 0) return oneOf(...literals)
  switch (schema.type) {
    case "null":
      return oneOf<Json>(null)
    case "boolean":
      return oneOf<Json>(true, false)
    case "integer": {
      const [minimum, maximum] = [Number(schema.minimum), Number(schema.maximum)]
      return anyOf<Json>(oneOf(minimum, maximum), between(minimum, maximum))
    }
    case "string":
      return examples[name] === undefined ? validString(schema) : oneOf<Json>(...examples[name])
    case "object":
      return validObject(document, schema)
    case "array":
      return validArray(document, schema, name)
    default:
      throw new Error(`Nothing generates values of type ${schema.type}`)
  }
}

/** A few values at most, up to the limit once in a while. */
const validArray = (
  document: JsonObject,
  schema: JsonObject,
  name: string,
): Arbitrary.Arbitrary<ReadonlyArray<Json>> => {
  const item = valid(document, objectAt(schema.items), name.replace(/s$/, ""))
  const [least, most] = [Number(schema.minItems ?? 0), Number(schema.maxItems)]
  return Arbitrary.map(
    Arbitrary.all({ first: item, second: item, length: anyOf(between(least, 3), oneOf(most)) }),
    ({ first, second, length }) =>
      Array.from({ length }, (_, index) => index % 2 === 0 ? first : second),
  )
}

const validObject = (document: JsonObject, schema: JsonObject): Arbitrary.Arbitrary<JsonObject> => {
  const required = arrayAt(schema.required)
  const members = Object.entries(objectAt(schema.properties)).map(([name, property]) => {
    const value = valid(document, objectAt(property), name)
    const isRequired = required.includes(name)
    return Arbitrary.map(
      isRequired ? value : anyOf<Json | typeof absent>(oneOf(absent), value),
      (value) => value === absent ? [] : [[name, value] as const],
    )
  })
  return Arbitrary.map(Arbitrary.all(members), (entries) => Object.fromEntries(entries.flat()))
}

const validParameters = (
  document: JsonObject,
  parameters: ReadonlyArray<Parameter>,
): Arbitrary.Arbitrary<Readonly<Record<string, string>>> => {
  const schema = {
    properties: Object.fromEntries(
      // Only a page that was read names the cursor of the next one.
      parameters.filter(({ name }) => name !== "cursor").map(({ name, schema }) => [name, schema]),
    ),
    required: parameters.filter(({ isRequired }) => isRequired).map(({ name }) => name),
  }
  return Arbitrary.map(
    validObject(document, schema),
    (values) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)])),
  )
}

const encoded = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).map(([name, value]) => [name, encodeURIComponent(value)] as const)

/** Requests that the document allows. */
export const validRequest = (
  document: JsonObject,
  operation: DocumentedOperation,
): Arbitrary.Arbitrary<Request> => {
  const parametersIn = (place: Parameter["in"]) =>
    validParameters(document, operation.parameters.filter((parameter) => parameter.in === place))
  const { body, needsBody } = operation
  return Arbitrary.map(
    Arbitrary.all({
      path: parametersIn("path"),
      query: parametersIn("query"),
      headers: parametersIn("header"),
      body: anyOf<string | undefined>(
        ...(needsBody ? [] : [oneOf(undefined)]),
        ...(body === undefined
          ? []
          : [Arbitrary.map(valid(document, body, "body"), (value) => JSON.stringify(value))]),
      ),
    }),
    ({ path, query, headers, body }) => ({
      id: operation.id,
      path: Object.fromEntries(encoded(path)),
      query: encoded(query),
      headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
      body,
      isTouched: false,
    }),
  )
}
