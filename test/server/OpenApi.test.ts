import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { arrayAt, type JsonObject, matches, objectAt, resolve } from "../fuzz/JsonSchema.ts"
import { type Answer, assertJson, assertProblem } from "../support/answers.ts"
import { aNewUserId, createAttempt, createToken, createUser } from "../support/bodies.ts"
import { call, get, post } from "../support/calls.ts"
import { contractRoutes, keyedRoutes, targetOf } from "../support/contractRoutes.ts"
import { anEmail } from "../support/factories.ts"
import { exchange, rawRequest } from "../support/RawSocket.ts"
import { keyWith, TestService, testService } from "../support/TestService.ts"

const Document = Schema.Record(Schema.String, Schema.Json)

const theDocument = Effect.suspend(() => get("/openapi.json", { key: null })).pipe(
  Effect.map((answer) => Schema.decodeUnknownSync(Document)(assertJson(answer, 200))),
)

const schemasOf = (document: JsonObject) => objectAt(objectAt(document.components).schemas)

const schemaNamed = (document: JsonObject, name: string): JsonObject => {
  const schema = schemasOf(document)[name]
  assert.isDefined(schema, name)
  return objectAt(schema)
}

const operationOf = (
  document: JsonObject,
  { method, path }: { readonly method: string; readonly path: string },
): JsonObject => {
  const operation = objectAt(objectAt(document.paths)[path])[method.toLowerCase()]
  assert.isDefined(operation, `${method} ${path}`)
  return objectAt(operation)
}

const allOperations = (document: JsonObject) =>
  contractRoutes.map((route) => operationOf(document, route))

const responsesOf = (document: JsonObject, operation: JsonObject) =>
  Object.entries(objectAt(operation.responses)).map(([status, response]) =>
    [status, resolve(document, objectAt(response))] as const
  )

const schemasIn = ({ content }: JsonObject) =>
  Object.values(objectAt(content)).map((media) => objectAt(objectAt(media).schema))

/** Every object in the document, with the path to it. */
const objectsIn = (
  value: Schema.Json | undefined,
  path = "",
): ReadonlyArray<readonly [string, JsonObject]> => {
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => objectsIn(item, `${path}/${index}`))
  }
  const object = objectAt(value)
  return Object.keys(object).length === 0 ? [] : [
    [path, object],
    ...Object.entries(object).flatMap(([name, inner]) => objectsIn(inner, `${path}/${name}`)),
  ]
}

const componentsIn = (value: Schema.Json | undefined) =>
  objectsIn(value).flatMap(([, { $ref }]) =>
    typeof $ref === "string" ? [$ref.replace("#/components/schemas/", "")] : []
  )

/** The components in a value, and those in these, and so on. */
const componentsWithin = (document: JsonObject, value: Schema.Json | undefined) => {
  const found = new Set(componentsIn(value))
  // A set goes on with what is added to it meanwhile.
  for (const name of found) {
    for (const inner of componentsIn(schemaNamed(document, name))) found.add(inner)
  }
  return [...found]
}

/** Asserts that the document has this problem of the operation, headers and all. */
const assertDocumented = (
  document: JsonObject,
  operation: JsonObject,
  answer: Answer,
  name: string,
) => {
  const problem = assertProblem(answer, answer.status, name)
  const documented = objectAt(operation.responses)[answer.status] ??
    objectAt(operation.responses)["default"]
  const response = resolve(document, objectAt(documented))
  for (
    const [header, { required }] of Object.entries(objectAt(response.headers)).map(
      ([header, value]) => [header, objectAt(value)] as const,
    )
  ) {
    if (required === true) assert.property(answer.headers, header, name)
  }
  const schema = objectAt(
    objectAt(objectAt(response.content)["application/problem+json"]).schema,
  )
  const json = Schema.decodeUnknownSync(Document)(answer.json)
  assert.isTrue(matches(document, schema, json), `${name}: ${answer.text}`)
  const described = [...componentsIn(schema), ...componentsIn([schema])]
    .map((component) => schemaNamed(document, component))
    .find(({ properties }) =>
      arrayAt(objectAt(objectAt(properties).type).enum).includes(problem.type)
    )
  assert.isDefined(described, name)
  assert.includeMembers(Object.keys(objectAt(described?.properties)), Object.keys(problem))
}

layer(TestService)("the OpenAPI document", (it) => {
  it.effect("is OpenAPI 3.1, is open to all, and names every route of the contract", () =>
    Effect.gen(function* () {
      const { openapi, paths } = yield* theDocument
      assert.match(String(openapi), /^3\.1\./)
      const documented = Object.entries(objectAt(paths)).flatMap(([path, operations]) =>
        Object.keys(objectAt(operations)).map((method) => `${method.toUpperCase()} ${path}`)
      )
      const promised = contractRoutes.map(({ method, path }) => `${method} ${path}`)
      assert.deepStrictEqual(documented.sort(), promised.sort())
    }))

  for (const route of contractRoutes) {
    it.effect(`has every status and parameter of ${route.method} ${route.path}`, () =>
      Effect.gen(function* () {
        const document = yield* theDocument
        const operation = operationOf(document, route)
        const common = [
          400,
          408,
          417,
          431,
          500,
          ...route.scope === undefined ? [] : [401, 403, 503],
        ]
        const statuses = [route.success, route.errors, common].flat().map(String)
        assert.sameMembers(
          Object.keys(objectAt(operation.responses)),
          [...new Set([...statuses, "default"])],
        )
        for (const [status, { content = {} }] of responsesOf(document, operation)) {
          if (status === "default" || Number(status) >= 400) {
            assert.deepStrictEqual(Object.keys(objectAt(content)), ["application/problem+json"])
          } else if (status === "204" || status === "304") {
            assert.deepStrictEqual(content, {})
          } else if (route.path !== "/metrics") {
            assert.deepStrictEqual(Object.keys(objectAt(content)), ["application/json"])
          }
        }
        const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        const inPath = arrayAt(operation.parameters).map(objectAt)
          .filter((parameter) => parameter.in === "path")
        assert.deepStrictEqual(inPath.map(({ name }) => name), names)
      }))
  }

  it.effect("asks for a bearer key and names its scope under /v1, and nowhere else", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      for (const route of contractRoutes) {
        const operation = operationOf(document, route)
        const expected = route.scope === undefined ? [] : [{ bearer: [] }]
        assert.deepStrictEqual(operation.security, expected)
        assert.strictEqual(operation["x-required-scope"], route.scope)
        const named = /\n\nNeeds a key with the scope `([^`]+)`\.$/.exec(
          String(operation.description),
        )?.[1]
        assert.strictEqual(named, route.scope)
      }
      const { securitySchemes } = objectAt(document.components)
      assert.deepInclude(objectAt(objectAt(securitySchemes).bearer), { type: "http" })
    }))

  it.effect("shows a body, with an example that the service takes, for each route with one", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      for (const route of keyedRoutes) {
        const { requestBody } = operationOf(document, route)
        assert.strictEqual(requestBody !== undefined, route.body !== undefined)
        if (requestBody === undefined) continue
        const { content } = objectAt(requestBody)
        assert.deepStrictEqual(Object.keys(objectAt(content)), ["application/json"])
        const { example } = objectAt(objectAt(content)["application/json"])
        const answer = yield* call(route.method, targetOf(route), { json: example })
        assert.include([200, 201, 404, 422], answer.status, answer.text)
        if (answer.status === 422) assertProblem(answer, 422, "user-not-found")
      }
    }))

  it.effect("closes the schemas of requests and leaves those of responses open", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const bodies = allOperations(document).map(({ requestBody }) => requestBody ?? {})
      const closed = componentsWithin(document, bodies)
      assert.isAtLeast(closed.length, 11)
      for (const [name, schema] of Object.entries(schemasOf(document))) {
        const { additionalProperties } = objectAt(schema)
        assert.strictEqual(additionalProperties, closed.includes(name) ? false : undefined, name)
      }
      assert.match(String(objectAt(document.info).description), /new properties may be added/)
    }))

  it.effect("has no allOf, and every schema of a body by name", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      for (const [path, object] of objectsIn(document)) assert.notProperty(object, "allOf", path)
      for (const operation of allOperations(document)) {
        const answers = responsesOf(document, operation)
          .filter(([status]) =>
            status.startsWith("2") && operation.operationId !== "health.metrics"
          )
        const bodies = [...answers.map(([, answer]) => answer), objectAt(operation.requestBody)]
        for (const schema of bodies.flatMap(schemasIn)) {
          assert.deepStrictEqual(Object.keys(schema), ["$ref"], String(operation.operationId))
        }
      }
    }))

  it.effect("describes every operation, parameter, response, header, schema and property", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const assertDescribed = (object: JsonObject, path: string) => {
        const { description } = object
        assert.isTrue(typeof description === "string" && description.length > 5, path)
      }
      for (const operation of allOperations(document)) {
        const id = String(operation.operationId)
        assertDescribed(operation, id)
        assert.isNotEmpty(operation.summary, id)
        assert.lengthOf(arrayAt(operation.tags), 1, id)
        for (const parameter of arrayAt(operation.parameters).map(objectAt)) {
          assertDescribed(parameter, `${id} ${parameter.name}`)
        }
        for (const [status, response] of responsesOf(document, operation)) {
          // "User not found" would do for a problem, but "User" for nothing.
          assertDescribed(response, `${id} ${status}`)
          for (const [name, header] of Object.entries(objectAt(response.headers))) {
            assertDescribed(objectAt(header), `${id} ${status} ${name}`)
          }
        }
      }
      for (const [name, schema] of Object.entries(schemasOf(document))) {
        assertDescribed(objectAt(schema), name)
        for (const [word, property] of Object.entries(objectAt(objectAt(schema).properties))) {
          assertDescribed(objectAt(property), `${name}.${word}`)
        }
      }
    }))

  it.effect("says wherever a token hash is given that hexadecimal or base64url is safe", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const hashes = objectsIn(document).filter(([path, { name }]) =>
        path.endsWith("/properties/tokenHash") || name === "tokenHash"
      )
      assert.isAtLeast(hashes.length, 7)
      for (const [path, { description }] of hashes) {
        assert.match(String(description), /hexadecimal digits or base64url/, path)
      }
    }))

  it.effect("says wherever a reason is given which ones callers may give", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const reasons = objectsIn(document).filter(([path]) => path.endsWith("/properties/reason"))
      assert.lengthOf(reasons, 3)
      for (const [path, { anyOf }] of reasons) {
        const slug = { type: "string", pattern: "^[a-z][a-z0-9-]{0,63}$" }
        assert.deepStrictEqual(anyOf, [slug, { type: "null" }], path)
      }
    }))

  it.effect("has numbers and booleans in queries as such, with bounds and defaults", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const expected: Readonly<Record<string, JsonObject>> = {
        limit: { type: "integer", minimum: 1, maximum: 100, default: 50 },
        minutes: { type: "integer", minimum: 1, maximum: 43_200, default: 15 },
        active: { type: "boolean" },
        include: { type: "string" },
        cursor: { type: "string" },
      }
      const parameters = allOperations(document)
        .flatMap(({ parameters }) => arrayAt(parameters).map(objectAt))
        .filter((parameter) => parameter.in === "query")
      for (const [name, schema] of Object.entries(expected)) {
        const named = parameters.filter((parameter) => parameter.name === name)
        assert.isNotEmpty(named, name)
        for (const parameter of named) {
          assert.deepInclude(objectAt(parameter.schema), schema, name)
          assert.strictEqual(parameter.required, false)
        }
      }
      const days = ["ExpiredTokensToDelete", "OldLoginAttemptsToDelete"].map((name) =>
        objectAt(objectAt(schemaNamed(document, name).properties).olderThanDays)
      )
      const bounds = { type: "integer", minimum: 0, maximum: 36_500 }
      assert.deepInclude(days[0], { ...bounds, default: 7 })
      assert.deepInclude(days[1], { ...bounds, default: 90 })
    }))

  it.effect("describes the answers that the service gives, with all of their properties", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const user = yield* createUser()
      const userId = String(user["id"])
      const token = yield* createToken({ userId })
      const withUser =
        (yield* get(`/v1/refresh-tokens/${token["tokenHash"]}/valid?include=user`)).json
      const sessions = (yield* get(`/v1/users/${userId}/sessions`)).json
      const answers: ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>]> = [
        ["User", user],
        ["RefreshToken", token],
        ["RefreshTokenWithUser", withUser],
        ["Session", Schema.decodeUnknownSync(Schema.Tuple([Document]))(sessions["items"])[0]],
        ["SessionPage", sessions],
        ["LoginAttempt", yield* createAttempt()],
        ["Credentials", (yield* get(`/v1/users/${userId}/credentials`)).json],
        ["UserPage", (yield* get("/v1/users?limit=1")).json],
        ["RefreshTokenPage", (yield* get(`/v1/users/${userId}/refresh-tokens`)).json],
        ["FailureCount", (yield* get(`/v1/users/${userId}/login-attempts/recent-failures`)).json],
        ["Revoked", (yield* post(`/v1/users/${userId}/refresh-tokens/revoke`, {})).json],
        ["Deleted", (yield* post("/v1/maintenance/delete-expired-tokens", {})).json],
        ["Health", (yield* get("/livez")).json],
      ]
      for (const [name, answer] of answers) {
        const schema = schemaNamed(document, name)
        assert.sameMembers(Object.keys(answer), Object.keys(objectAt(schema.properties)), name)
        const optional = name === "RefreshTokenWithUser" ? ["user"] : []
        assert.sameMembers(
          Object.keys(answer),
          [...arrayAt(schema.required).map(String), ...optional],
          name,
        )
        assert.isTrue(matches(document, schema, Schema.decodeUnknownSync(Document)(answer)), name)
      }
    }))

  it.effect("promises the headers that the service sends", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const userId = yield* aNewUserId
      const headersOf = (method: string, path: string, status: string) => {
        const response = objectAt(operationOf(document, { method, path }).responses)[status]
        return Object.keys(objectAt(objectAt(response).headers)).sort()
      }
      assert.deepStrictEqual(headersOf("POST", "/v1/users", "201"), [
        "etag",
        "location",
        "x-request-id",
      ])
      assert.deepStrictEqual(headersOf("GET", "/v1/users/{id}", "200"), ["etag", "x-request-id"])
      assert.deepStrictEqual(headersOf("PATCH", "/v1/users/{id}", "200"), ["etag", "x-request-id"])
      for (const user of ["{id}", "by-email/{email}"]) {
        assert.deepStrictEqual(headersOf("GET", `/v1/users/${user}/credentials`, "200"), [
          "etag",
          "x-request-id",
        ])
      }
      const byGoogleId = "/v1/users/by-google-id/{googleId}"
      assert.deepStrictEqual(headersOf("PUT", byGoogleId, "201"), [
        "etag",
        "location",
        "x-request-id",
      ])
      assert.deepStrictEqual(headersOf("PUT", byGoogleId, "200"), ["etag", "x-request-id"])
      const rotate = "/v1/refresh-tokens/{tokenHash}/rotate"
      assert.deepStrictEqual(headersOf("POST", rotate, "201"), ["location", "x-request-id"])
      assert.deepStrictEqual(headersOf("POST", "/v1/refresh-tokens", "201"), [
        "location",
        "x-request-id",
      ])
      assert.containsAllKeys((yield* get(`/v1/users/${userId}`)).headers, ["etag"])
    }))

  it.effect("has a component for each problem, with its type, title and status", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const seen = new Set<string>()
      for (const operation of allOperations(document)) {
        for (const [status, response] of responsesOf(document, operation)) {
          if (Number(status) < 400) continue
          const names = schemasIn(response).flatMap((schema) => componentsIn([schema]))
          assert.isNotEmpty(names, status)
          for (const name of names) {
            const { properties, required, type } = schemaNamed(document, name)
            const problem = objectAt(properties)
            assert.strictEqual(type, "object", name)
            assert.lengthOf(arrayAt(objectAt(problem.type).enum), 1, name)
            assert.deepInclude(objectAt(problem.title), { type: "string" }, name)
            assert.notProperty(objectAt(problem.title), "enum", name)
            if (status !== "default") {
              assert.deepInclude(
                objectAt(problem.status),
                { type: "integer", enum: [Number(status)] },
                name,
              )
            }
            assert.includeMembers(arrayAt(required).map(String), ["type", "title", "status"], name)
            seen.add(name)
          }
        }
      }
      assert.isAtLeast(seen.size, 29)
    }))

  it.effect("has the problems of requests that any route refuses, headers included", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const byEmail = operationOf(document, { method: "GET", path: "/v1/users/by-email/{email}" })
      const create = operationOf(document, { method: "POST", path: "/v1/users" })
      const target = `/v1/users/by-email/${anEmail()}`
      const large = "x".repeat(300 * 1024)
      const known = (answer: Answer | undefined, name: string, operation = byEmail) => {
        assert.isDefined(answer, name)
        if (answer !== undefined) assertDocumented(document, operation, answer, name)
      }
      known(yield* get("/v1/users/by-email/nobody"), "invalid-request")
      known(yield* get(target, { key: null }), "unauthorized")
      known(yield* get(target, { key: keyWith("tokens:read") }), "forbidden")
      known(yield* get(target), "user-not-found")
      const none = { responses: { default: objectAt(byEmail.responses)["default"] ?? {} } }
      known(yield* get(`${target}/nothing`), "not-found", none)
      const otherMethod = yield* call("PUT", target)
      known(otherMethod, "method-not-allowed", none)
      assert.property(otherMethod.headers, "allow")
      known((yield* exchange(rawRequest(`GET ${target}`, ["Expect: x"])))[0], "expectation-failed")
      known((yield* exchange(rawRequest(`GET ${target}?${large}`)))[0], "headers-too-large")
      known(yield* post("/v1/users", { fullName: large }), "body-too-large", create)
      const text = { body: "text", headers: { "content-type": "text/plain" } }
      known(yield* call("POST", "/v1/users", text), "unsupported-media-type", create)
      known(
        yield* post("/v1/users", { email: anEmail(), authProvider: "email" }),
        "credentials-missing",
        create,
      )
    }))

  it.effect("has the problem of a request that fails unexpectedly", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const sql = yield* SqlClient.SqlClient
      const path = "/v1/login-attempts/recent-failures"
      const answer = yield* Effect.acquireUseRelease(
        sql`ALTER TABLE public.login_attempts RENAME TO gone`,
        () => get(`${path}?email=${anEmail()}`),
        () => Effect.orDie(sql`ALTER TABLE public.gone RENAME TO login_attempts`),
      )
      assertDocumented(
        document,
        operationOf(document, { method: "GET", path }),
        answer,
        "internal-error",
      )
    }))
})

layer(testService({ maxRequestsInFlight: 0 }))("the OpenAPI document", (it) => {
  it.effect("has the problem of an overloaded service, with its Retry-After", () =>
    Effect.gen(function* () {
      const document = yield* theDocument
      const operation = operationOf(document, { method: "GET", path: "/v1/users" })
      assertDocumented(document, operation, yield* get("/v1/users"), "overloaded")
    }))
})

layer(TestService)("the reference page", (it) => {
  it.effect("is HTML that holds the document and fetches nothing from elsewhere", () =>
    Effect.gen(function* () {
      const page = yield* get("/docs", { key: null })
      assert.strictEqual(page.status, 200)
      assert.match(String(page.headers["content-type"]), /^text\/html/)
      assert.include(page.text, "/v1/users/by-email/{email}")
      assert.include(page.text, "x-required-scope")
      const [head = ""] = page.text.split("<script>", 1)
      assert.notMatch(page.text, /<script[^>]+src=/)
      assert.notMatch(head, /<link[^>]+href=/)
    }))
})
