import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { assertJson, assertProblem, type JsonObject } from "../support/answers.ts"
import { aNewUserId, createAttempt, createToken, createUser } from "../support/bodies.ts"
import { call, get } from "../support/calls.ts"
import { contractRoutes, keyedRoutes, targetOf } from "../support/contractRoutes.ts"
import { anEmail } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

const Content = Schema.Record(
  Schema.String,
  Schema.Struct({
    schema: Schema.Record(Schema.String, Schema.Unknown),
    example: Schema.optionalKey(Schema.Unknown),
  }),
)

const Operation = Schema.Struct({
  summary: Schema.NonEmptyString,
  operationId: Schema.NonEmptyString,
  parameters: Schema.Array(Schema.Struct({ name: Schema.String, in: Schema.String })),
  security: Schema.Array(Schema.Record(Schema.String, Schema.Array(Schema.String))),
  requestBody: Schema.optionalKey(Schema.Struct({ content: Content })),
  responses: Schema.Record(
    Schema.String,
    Schema.Struct({
      description: Schema.NonEmptyString,
      content: Schema.optionalKey(Content),
      headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
    }),
  ),
})

const ObjectSchema = Schema.Struct({
  type: Schema.Literal("object"),
  properties: Schema.Record(Schema.String, Schema.Unknown),
  required: Schema.Array(Schema.String),
  additionalProperties: Schema.Literal(false),
})

const Document = Schema.Struct({
  openapi: Schema.String,
  info: Schema.Struct({
    title: Schema.NonEmptyString,
    version: Schema.NonEmptyString,
    description: Schema.NonEmptyString,
  }),
  paths: Schema.Record(Schema.String, Schema.Record(Schema.String, Operation)),
  components: Schema.Struct({
    schemas: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Unknown)),
    securitySchemes: Schema.Record(Schema.String, Schema.Unknown),
  }),
})

const theDocument = Effect.suspend(() => get("/openapi.json", { key: null })).pipe(
  Effect.map((answer) => Schema.decodeUnknownSync(Document)(assertJson(answer, 200))),
)

const operationOf = (
  { paths }: typeof Document.Type,
  { method, path }: { readonly method: string; readonly path: string },
) => {
  const operation = paths[path]?.[method.toLowerCase()]
  assert.isDefined(operation, `${method} ${path}`)
  return Schema.decodeUnknownSync(Operation)(operation)
}

const schemaNamed = ({ components }: typeof Document.Type, name: string) =>
  Schema.decodeUnknownSync(ObjectSchema)(components.schemas[name])

layer(TestService)("the OpenAPI document", (it) => {
  it.effect("is OpenAPI 3.1, is open to all, and names every route of the contract", () =>
    Effect.gen(function* () {
      const { openapi, paths } = yield* theDocument
      assert.match(openapi, /^3\.1\./)
      const documented = Object.entries(paths).flatMap(([path, operations]) =>
        Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
      )
      const promised = contractRoutes.map(({ method, path }) => `${method} ${path}`)
      assert.deepStrictEqual(documented.sort(), promised.sort())
    }))

  for (const route of contractRoutes) {
    it.effect(`tells how ${route.method} ${route.path} answers`, () =>
      Effect.gen(function* () {
        const operation = operationOf(yield* theDocument, route)
        const common = route.scope === undefined ? [] : [400, 401, 403, 503]
        const statuses = [route.success, ...route.errors, ...common]
        assert.deepStrictEqual(
          Object.keys(operation.responses).sort(),
          [...new Set(statuses)].map(String).sort(),
        )
        for (const [status, { content = {} }] of Object.entries(operation.responses)) {
          if (Number(status) >= 400) {
            assert.deepStrictEqual(Object.keys(content), ["application/problem+json"])
          } else if (status === "204") {
            assert.deepStrictEqual(content, {})
          } else if (route.path !== "/metrics") {
            assert.deepStrictEqual(Object.keys(content), ["application/json"])
          }
        }
        const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        const inPath = operation.parameters.filter((parameter) => parameter.in === "path")
        assert.deepStrictEqual(inPath.map(({ name }) => name), names)
      }))
  }

  it.effect("asks for a bearer key under /v1, and nowhere else", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      for (const route of contractRoutes) {
        const expected = route.scope === undefined ? [] : [{ bearer: [] }]
        assert.deepStrictEqual(operationOf(document, route).security, expected)
      }
      assert.deepInclude(document.components.securitySchemes["bearer"], { type: "http" })
    }))

  it.effect("shows a body, with an example that the service takes, for each route with one", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      for (const route of keyedRoutes) {
        const { requestBody } = operationOf(document, route)
        assert.strictEqual(requestBody !== undefined, route.body !== undefined)
        if (requestBody === undefined) continue
        assert.deepStrictEqual(Object.keys(requestBody.content), ["application/json"])
        const { example } = requestBody.content["application/json"] ?? {}
        const answer = yield* call(route.method, targetOf(route), { json: example })
        assert.include([200, 201, 404, 422], answer.status, answer.text)
        if (answer.status === 422) assertProblem(answer, 422, "user-not-found")
      }
    }))

  it.effect("refuses the properties that the service refuses", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      for (const name of ["NewUser", "NewRefreshToken", "Successor", "NewLoginAttempt"]) {
        assert.isNotEmpty(schemaNamed(document, name).required)
      }
      assert.strictEqual(
        document.components.schemas["UserChanges"]?.["additionalProperties"],
        false,
      )
    }))

  it.effect("describes the answers that the service gives", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const token = yield* createToken()
      const user = yield* createUser()
      const credentials = yield* get(`/v1/users/${user["id"]}/credentials`)
      const answers: ReadonlyArray<readonly [string, JsonObject]> = [
        ["User", user],
        ["RefreshToken", token],
        ["LoginAttempt", yield* createAttempt()],
        ["Credentials", credentials.json],
      ]
      for (const [name, answer] of answers) {
        const { properties, required } = schemaNamed(document, name)
        assert.deepStrictEqual(Object.keys(answer).sort(), Object.keys(properties).sort())
        assert.deepStrictEqual([...required].sort(), Object.keys(answer).sort())
      }
    }))

  it.effect("promises the headers that the service sends", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const userId = yield* aNewUserId
      const headersOf = (method: string, path: string, status: string) =>
        Object.keys(operationOf(document, { method, path }).responses[status]?.headers ?? {}).sort()
      assert.deepStrictEqual(headersOf("POST", "/v1/users", "201"), ["etag", "location"])
      assert.deepStrictEqual(headersOf("GET", "/v1/users/{id}", "200"), ["etag"])
      assert.deepStrictEqual(headersOf("PATCH", "/v1/users/{id}", "200"), ["etag"])
      assert.deepStrictEqual(headersOf("POST", "/v1/refresh-tokens", "201"), ["location"])
      assert.containsAllKeys((yield* get(`/v1/users/${userId}`)).headers, ["etag"])
    }))

  it.effect("has a problem schema that fits the problems that the service answers with", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const schemas = Object.values(document.components.schemas)
      const problems: ReadonlyArray<readonly [number, string, string]> = [
        [400, "invalid-request", "/v1/users/me"],
        [404, "user-not-found", `/v1/users/by-email/${anEmail()}`],
        [404, "refresh-token-not-found", "/v1/refresh-tokens/nobody"],
      ]
      for (const [status, name, path] of problems) {
        const problem = assertProblem(yield* get(path), status, name)
        const described = schemas.filter((schema) => JSON.stringify(schema).includes(problem.type))
        assert.isNotEmpty(described, name)
        for (const schema of described) {
          assert.includeMembers(Object.keys(schema["properties"] ?? {}), Object.keys(problem))
        }
      }
    }))
})

layer(TestService)("the reference page", (it) => {
  it.effect("is HTML that holds the document and fetches nothing from elsewhere", () =>
    Effect.gen(function* () {
      const page = yield* get("/docs", { key: null })
      assert.strictEqual(page.status, 200)
      assert.match(String(page.headers["content-type"]), /^text\/html/)
      assert.include(page.text, "/v1/users/by-email/{email}")
      const [head = ""] = page.text.split("<script>", 1)
      assert.notMatch(page.text, /<script[^>]+src=/)
      assert.notMatch(head, /<link[^>]+href=/)
    }))
})
