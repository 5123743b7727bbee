/**
 * Requests with something in them that the document does not ask for.
 */
import { Arbitrary } from "effect"
import { anyOf, oneOf, troublesome, unstorable } from "../support/arbitraries.ts"
import { isObject, type Json, objectAt } from "./JsonSchema.ts"
import type { DocumentedOperation } from "./OpenApiDocument.ts"
import type { Request } from "./validRequests.ts"

const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`

/** JSON texts, so that numbers and nesting are what a client can write, not what JavaScript has. */
const hostileJson = anyOf<string>(
  oneOf(...["null", "true", "0", "-1", "1.5", "36501", "1e308", "1e999", "-0", `${2 ** 53}`]),
  oneOf(...["[]", "{}", "[null]", `{"a":1}`, `{"__proto__":null}`, nested(100), nested(5_000)]),
  oneOf("99999999999999999999999999999999", `"${"\\u0000"}"`, `"\\ud800"`, `"\\udc00\\ud800"`),
  oneOf(...[...troublesome, ...unstorable].map((value) => JSON.stringify(value))),
  oneOf(...[255, 256, 257, 513, 1_025, 100_000].map((length) => `"${"x".repeat(length)}"`)),
  oneOf(...[255, 256, 512, 1_024].map((length) => `"${"😀".repeat(length)}"`)),
  oneOf(`"2027-02-30T00:00:00Z"`, `"2027-02-03"`, `"10000-01-01T00:00:00Z"`, "1767225600000"),
  oneOf(`"a@b@example.com"`, `" ada@example.com"`, `"ada@exam ple.com"`, `"é@example.com"`),
  oneOf(`"192.0.2.1, 192.0.2.2"`, `"192.0.2.1:80"`, `"[::1]"`, `"fe80::1%eth0"`, `"10.0.0.0/8"`),
)

/** What is no JSON, or no body that anybody should send. */
const hostileBody = anyOf<string>(
  hostileJson,
  oneOf(
    "",
    " ",
    "{",
    `{"email":`,
    "}",
    "{'a':1}",
    "NaN",
    "undefined",
    "\u0000",
    "\ufeff{}",
    "{}{}",
  ),
  oneOf(
    nested(60_000),
    `{"a":${"[".repeat(50_000)}`,
    `"${"x".repeat(300_000)}"`,
    "{".repeat(50_000),
  ),
)

/** Percent-encoded, or not quite. */
const hostileText = anyOf<string>(
  oneOf(...troublesome.map(encodeURIComponent)),
  oneOf("%", "%zz", "%00", "a%00b", "%ff", "%ed%a0%80", "%c0%af", "%2F%2e%2e%2F", "%u0041"),
  oneOf("-1", "0", "101", "43201", "1.0", "1e1", "+1", "%201", "0x1", "999999999999", "true"),
  oneOf("null", "undefined", "[object Object]", "x".repeat(600), "x".repeat(5_000)),
  oneOf(`${encodeURIComponent("😀".repeat(255))}`, `${encodeURIComponent("😀".repeat(513))}`),
)

const hostileHeader = oneOf(
  ...["", "x", "*", `"`, `""`, "W/", `"a" "b"`, ",", "\u00ff", "null", "'; --", "x".repeat(5_000)],
  ...["00000000-0000-0000-0000-00000000000", "{00000000-0000-4000-8000-000000000001}"],
)

type Fault = (request: Request) => Request

const property = (name: string, value: string): Fault => (request) => {
  const body: Json = JSON.parse(request.body ?? "{}")
  const others = Object.entries(objectAt(body))
    .filter(([other]) => other !== name)
    .map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)}`)
  return { ...request, body: `{${[...others, `${JSON.stringify(name)}:${value}`].join(",")}}` }
}

const withoutProperty = (name: string): Fault => (request) => {
  const body: Json = JSON.parse(request.body ?? "{}")
  if (!isObject(body)) return request
  const { [name]: _, ...others } = body
  return { ...request, body: JSON.stringify(others) }
}

const replacedBody = (body: string): Fault => (request) => ({ ...request, body })

const header = (name: string, value: string): Fault => (request) => ({
  ...request,
  headers: { ...request.headers, [name]: value },
})

const pathParameter = (name: string, value: string): Fault => (request) => ({
  ...request,
  path: { ...request.path, [name]: value },
})

const queryParameter = (name: string, value: string): Fault => (request) => ({
  ...request,
  query: [...request.query.filter(([other]) => other !== name), [name, value]],
})

const twice = (name: string): Fault => (request) => ({
  ...request,
  query: [...request.query, [name, "1"], [name, "1"]],
})

const strangeNames = ["extra", "__proto__", "constructor", "toString", "", "email ", "Email"]

/** Everything that can be made wrong with a request of this operation. */
const faultsFor = (operation: DocumentedOperation): ReadonlyArray<Arbitrary.Arbitrary<Fault>> => {
  const ofBody = operation.body === undefined ? [] : [
    Arbitrary.map(
      Arbitrary.all([
        oneOf(...Object.keys(objectAt(operation.body.properties)), ...strangeNames),
        hostileJson,
      ]),
      ([name, value]) => property(name, value),
    ),
    Arbitrary.map(
      oneOf(...Object.keys(objectAt(operation.body.properties)), "extra"),
      withoutProperty,
    ),
    Arbitrary.map(hostileBody, replacedBody),
    Arbitrary.map(
      oneOf(
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "application/jsonx",
        "",
        ";",
      ),
      (type) => header("content-type", type),
    ),
  ]
  const ofParameters = operation.parameters.map(({ name, in: place }) =>
    place === "header"
      ? Arbitrary.map(hostileHeader, (value) => header(name, value))
      : Arbitrary.map(
        hostileText,
        (value) => place === "path" ? pathParameter(name, value) : queryParameter(name, value),
      )
  )
  // Probes append what they like; everywhere else a parameter that is not known is refused.
  const ofQuery = operation.needsKey
    ? [
      Arbitrary.map(oneOf("extra", "__proto__", "limit[]"), (name) => queryParameter(name, "1")),
      Arbitrary.map(oneOf("limit", "minutes", "email"), twice),
    ]
    : []
  const ofKeys = operation.needsKey
    ? [Arbitrary.map(
      oneOf("Bearer wrong", "Basic YTpi", "Bearer", "", "\u00ff", `Bearer ${"x".repeat(3_000)}`),
      (value) => header("authorization", value),
    )]
    : []
  return [...ofBody, ...ofBody, ...ofParameters, ...ofParameters, ...ofQuery, ...ofKeys]
}

/** The request with something changed that may well be wrong. */
export const touched = (
  operation: DocumentedOperation,
  request: Request,
): Arbitrary.Arbitrary<Request> => {
  const faults = faultsFor(operation)
  return faults.length === 0
    ? Arbitrary.Constant(request)
    : Arbitrary.map(anyOf(...faults), (fault) => ({ ...fault(request), isTouched: true }))
}
