import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Equal, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Answer } from "../support/answers.ts"
import { anyOf } from "../support/arbitraries.ts"
import { get } from "../support/calls.ts"
import { checks } from "../support/checks.ts"
import { exchange } from "../support/RawSocket.ts"
import { testService } from "../support/TestService.ts"
import { touched } from "./hostileRequests.ts"
import { isObject, type Json, type JsonObject } from "./JsonSchema.ts"
import { type Message, toBytes, toMessage } from "./Message.ts"
import { odd } from "./oddMessages.ts"
import { type DocumentedOperation, operationsOf } from "./OpenApiDocument.ts"
import { existing, validRequest } from "./validRequests.ts"

/** The same rows in each database, with the same ids, times and versions. */
const populate = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`TRUNCATE users, refresh_tokens, login_attempts`
  yield* sql`ALTER SEQUENCE users_version_seq RESTART`
  yield* sql`
    INSERT INTO users (
      id, email, google_id, auth_provider, password_hash, created_at, updated_at
    )
    SELECT id, email, "googleId", 'email', 'hash', '2026-01-01Z', '2026-01-01Z'
    FROM jsonb_to_recordset(${JSON.stringify(existing.users)}::jsonb)
      AS given (id uuid, email text, "googleId" text)`
  yield* sql`
    INSERT INTO refresh_tokens (id, user_id, token_hash, created_at, expires_at)
    SELECT id, "userId", "tokenHash", '2026-01-01Z', '2999-01-01Z'
    FROM jsonb_to_recordset(${JSON.stringify(existing.tokens)}::jsonb)
      AS given (id uuid, "userId" uuid, "tokenHash" text)`
  yield* sql`
    INSERT INTO login_attempts (id, user_id, email, ip_address, success, pending, attempted_at)
    SELECT
      id, id, email, '192.0.2.1', false, true,
      now() - interval '5 minutes' - row_number() OVER (ORDER BY id) * interval '1 second'
    FROM users`
})

/** Requests of one operation: as they should be, wrong in what they say, odd in how they say it. */
const messagesOf = (document: JsonObject, operation: DocumentedOperation) => {
  const request = validRequest(document, operation)
  const wrong = Arbitrary.flatMap(request, (valid) => touched(operation, valid))
  const message = Arbitrary.map(
    anyOf(request, request, wrong),
    (given) => toMessage(operation, given),
  )
  return anyOf(message, Arbitrary.flatMap(message, odd))
}

/** The ids that the tests make, in rows and in requests; others were made by a service. */
const isKnown = (id: string) => /0000-4000-8000-00000000\d*f$|^f{8}-/.test(id)

/** Times that the database's clock has set. */
const times =
  /"(createdAt|updatedAt|revokedAt|attemptedAt|signedInAt|refreshedAt|emailVerifiedAt|forgivenAt)":"[^"]*"/g

/** All of an answer but what two services cannot have alike: ids and times of rows they made. */
const comparable = ({ status, headers: { date: _, ...headers }, text }: Answer) => {
  const withoutIds = (value: string) =>
    value.replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, (id) => isKnown(id) ? id : "<id>")
  return {
    status,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, withoutIds(value)]),
    ),
    text: withoutIds(text)
      .replaceAll(times, '"$1":"<time>"')
      .replaceAll(/"nextCursor":"[^"]*"/g, '"nextCursor":"<cursor>"'),
  }
}

const asText = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1").slice(0, 1_000)

const buildService = (isTraced: boolean) => Layer.build(Layer.fresh(testService({}, { isTraced })))

const getDocument = Effect.map(
  get("/openapi.json"),
  ({ text }) => {
    const document: Json = JSON.parse(text)
    return isObject(document) ? document : assert.fail("The document is no object")
  },
)

describe("the fast path", () => {
  const { timeout, arbitrary } = checks(60, { concurrency: 1, size: 10 })

  it.live(
    "gives the answers that the router gives, whatever is sent",
    () =>
      Effect.gen(function* () {
        const [routed, fast] = [yield* buildService(true), yield* buildService(false)]
        const document = yield* Effect.provideContext(getDocument, routed)
        const operations = operationsOf(document).filter(({ path }) => path.startsWith("/v1/"))
        assert.isAtLeast(operations.length, 24)
        const statuses = new Set<number>()

        const isAnsweredAlike = Effect.fnUntraced(function* (message: Message) {
          const bytes = toBytes(message)
          const expected = yield* Effect.provideContext(exchange(bytes), routed)
          const received = yield* Effect.provideContext(exchange(bytes), fast)
          received.forEach(({ status }) => statuses.add(status))
          return Equal.equals(received.map(comparable), expected.map(comparable)) ||
            (yield* Effect.fail({ request: asText(bytes), expected, received }))
        })

        for (const operation of operations) {
          for (const services of [routed, fast]) yield* Effect.provideContext(populate, services)
          const messages = messagesOf(document, operation)
          const result = yield* Arbitrary.checkEffect(messages, isAnsweredAlike, arbitrary)
          assert.isUndefined(Arbitrary.formatCheckFailure(result), operation.id)
        }
        assert.includeMembers([...statuses], [200, 201, 204, 400, 401, 404, 409, 415])
      }),
    { timeout },
  )
})
