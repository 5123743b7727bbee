import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { anyOf } from "../support/arbitraries.ts"
import { checks } from "../support/checks.ts"
import { TestService } from "../support/TestService.ts"
import { touched } from "./hostileRequests.ts"
import { isObject, type JsonObject } from "./JsonSchema.ts"
import { complaints } from "./judge.ts"
import { type DocumentedOperation, operationsOf } from "./OpenApiDocument.ts"
import { existing, type Request, validRequest } from "./validRequests.ts"

const getDocument = Effect.gen(function* () {
  const response = yield* HttpClient.get("/openapi.json")
  const document = yield* response.json
  return isObject(document) ? document : assert.fail("The document is no object")
})

const send = Effect.fnUntraced(
  function* ({ method, path: template }: DocumentedOperation, request: Request) {
    const { path, query, headers, body } = request
    const target = template.replaceAll(/\{(\w+)\}/g, (_, name) => path[name] ?? "")
    const search = query.map(([name, value]) => `${name}=${value}`).join("&")
    const prepared = HttpClientRequest.make(method)(search === "" ? target : `${target}?${search}`)
      .pipe(HttpClientRequest.setHeaders(headers))
    const response = yield* HttpClient.execute(
      body === undefined
        ? prepared
        : HttpClientRequest.bodyText(prepared, body, headers["content-type"]),
    )
    return { status: response.status, headers: response.headers, text: yield* response.text }
  },
  Effect.timeout("5 minutes"),
)

/** Requests of one operation, half of them with something that may be wrong. */
const requestsOf = (document: JsonObject, operation: DocumentedOperation) => {
  const valid = validRequest(document, operation)
  return anyOf(valid, Arbitrary.flatMap(valid, (request) => touched(operation, request)))
}

/** Accounts, live tokens and attempts that have begun under some of the values that requests are made of. */
const populate = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DELETE FROM login_attempts`
  yield* sql`DELETE FROM users`
  yield* sql`
    INSERT INTO users (id, email, google_id, auth_provider, password_hash)
    SELECT id, email, "googleId", 'email', 'hash'
    FROM jsonb_to_recordset(${JSON.stringify(existing.users)}::jsonb)
      AS given (id uuid, email text, "googleId" text)`
  yield* sql`
    INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at)
    SELECT id, "userId", "tokenHash", now() + interval '1 day'
    FROM jsonb_to_recordset(${JSON.stringify(existing.tokens)}::jsonb)
      AS given (id uuid, "userId" uuid, "tokenHash" text)`
  yield* sql`
    INSERT INTO login_attempts (id, user_id, email, ip_address, success, pending)
    SELECT id, id, email, '192.0.2.1', false, true FROM users`
})

layer(TestService, { excludeTestServices: true })("the OpenAPI document", (it) => {
  const { timeout, arbitrary } = checks(160, { concurrency: 16, size: 10 })

  it.effect("is what the service does, whatever it is sent", () =>
    Effect.gen(function* () {
      const document = yield* getDocument
      const operations = operationsOf(document)
      assert.isAtLeast(operations.length, 27)
      for (const operation of operations) {
        yield* populate
        const statuses = new Set<number>()
        const result = yield* Arbitrary.checkEffect(
          requestsOf(document, operation),
          (request) =>
            Effect.gen(function* () {
              const received = yield* send(operation, request)
              statuses.add(received.status)
              const found = complaints(document, operation, request, received)
              return found.length === 0 || (yield* Effect.fail({ found, received }))
            }),
          arbitrary,
        )
        assert.isUndefined(Arbitrary.formatCheckFailure(result), operation.id)
        assert.isTrue([...statuses].some((status) => status < 300), `${operation.id} succeeds`)
        assert.isTrue(operation.responses.has(400), operation.id)
        assert.strictEqual(statuses.has(400), operation.needsKey, operation.id)
      }
    }), { timeout })
})
