import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import {
  assertInvalid,
  assertJson,
  assertProblem,
  type JsonObject,
  stringAt,
} from "../support/answers.ts"
import {
  aGoogleUserBody,
  anAttemptBody,
  aNewUserId,
  aSuccessorBody,
  aTokenBody,
  aUserBody,
  createToken,
} from "../support/bodies.ts"
import { call, get, patch, post } from "../support/calls.ts"
import { anEmail, aTokenHash } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

const aKey = () => crypto.randomUUID()

const postOnce = (path: string, key: string, json: unknown) =>
  post(path, json, { headers: { "idempotency-key": key } })

/** Everything that creates a row, with a body that is good once. */
const creations = [
  { name: "a user", table: "users", make: Effect.map(Effect.void, () => aUserBody()) },
  {
    name: "a token",
    table: "refresh_tokens",
    make: Effect.map(aNewUserId, (userId) => aTokenBody(userId)),
  },
  {
    name: "a login attempt",
    table: "login_attempts",
    make: Effect.map(Effect.void, () => anAttemptBody()),
  },
  {
    name: "a rotation",
    table: "refresh_tokens",
    make: Effect.map(Effect.void, () => aSuccessorBody()),
  },
]

const pathOf = Effect.fnUntraced(function* (name: string) {
  switch (name) {
    case "a user":
      return "/v1/users"
    case "a token":
      return "/v1/refresh-tokens"
    case "a rotation":
      return `/v1/refresh-tokens/${(yield* createToken())["tokenHash"]}/rotate`
    default:
      return "/v1/login-attempts"
  }
})

const countOf = Effect.fnUntraced(function* (table: string, column: string, value: unknown) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql`
    SELECT id FROM ${sql(table)} WHERE ${sql(column)} = ${String(value)}`
  return rows.length
})

layer(TestService)("Idempotency-Key", (it) => {
  for (const { name, table, make } of creations) {
    it.effect(`becomes the id of ${name}, and the same request again answers the same`, () =>
      Effect.gen(function* () {
        const path = yield* pathOf(name)
        const body = yield* make
        const key = aKey()
        const first = yield* postOnce(path, key, body)
        assert.strictEqual(assertJson(first, 201)["id"], key)
        const again = yield* postOnce(path, key.toUpperCase(), body)
        assert.deepStrictEqual(assertJson(again, 201), first.json)
        assert.strictEqual(again.headers["location"], first.headers["location"])
        assert.strictEqual(again.headers["etag"], first.headers["etag"])
      }))

    it.effect(`makes ${name} once of twenty equal requests at once, and answers 201 to each`, () =>
      Effect.gen(function* () {
        const path = yield* pathOf(name)
        const body = yield* make
        const key = aKey()
        const answers = yield* Effect.all(
          Array.from({ length: 20 }, () => postOnce(path, key, body)),
          { concurrency: "unbounded" },
        )
        const [first] = answers
        for (const answer of answers) {
          assert.deepStrictEqual(assertJson(answer, 201), first?.json)
        }
        assert.strictEqual(first?.json["id"], key)
        assert.strictEqual(yield* countOf(table, "id", key), 1)
        const [column, value] = body["tokenHash"] === undefined
          ? ["email", body["email"]]
          : ["token_hash", body["tokenHash"]]
        assert.strictEqual(yield* countOf(table, String(column), value), 1)
      }))

    it.effect(`belongs to one body of ${name}`, () =>
      Effect.gen(function* () {
        const path = yield* pathOf(name)
        const body = yield* make
        const key = aKey()
        const first = assertJson(yield* postOnce(path, key, body), 201)
        const other: JsonObject = body["tokenHash"] === undefined
          ? { ...body, email: anEmail() }
          : { ...body, tokenHash: aTokenHash() }
        assertProblem(yield* postOnce(path, key, other), 422, "idempotency-key-reused")
        const { userAgent: _, ...rest } = body
        const changed = table === "users"
          ? { ...rest, fullName: "Ada" }
          : { ...rest, userAgent: "another" }
        assertProblem(yield* postOnce(path, key, changed), 422, "idempotency-key-reused")
        assert.deepStrictEqual(assertJson(yield* postOnce(path, key, body), 201), first)
      }))

    it.effect(`must be a UUID, for ${name} too`, () =>
      Effect.gen(function* () {
        const path = yield* pathOf(name)
        const body = yield* make
        for (const key of ["", "1", "not-a-uuid", `${aKey()}0`, `{${aKey()}}`, `"${aKey()}"`]) {
          assertInvalid(yield* postOnce(path, key, body), "idempotency-key")
        }
        const twice = yield* post(path, body, { headers: { "idempotency-key": [aKey(), aKey()] } })
        assertInvalid(twice, "idempotency-key")
      }))
  }

  it.effect("does not mind order, absent or null, spelling of ids, times and addresses", () =>
    Effect.gen(function* () {
      const key = aKey()
      const { email, authProvider, passwordHash } = aUserBody()
      const user = assertJson(
        yield* postOnce("/v1/users", key, { email, authProvider, passwordHash }),
        201,
      )
      const reordered = { fullName: null, isActive: true, passwordHash, authProvider, email }
      assert.deepStrictEqual(assertJson(yield* postOnce("/v1/users", key, reordered), 201), user)

      const tokenKey = aKey()
      const token = aTokenBody(key, {
        expiresAt: "2098-01-01T00:00:00Z",
        ipAddress: "2001:db8::1",
      })
      const first = assertJson(yield* postOnce("/v1/refresh-tokens", tokenKey, token), 201)
      const respelt = {
        ...token,
        userId: key.toUpperCase(),
        expiresAt: "2098-01-01T05:30:00.0004+05:30",
        ipAddress: "2001:0DB8:0:0:0:0:0:1",
        userAgent: null,
      }
      const again = yield* postOnce("/v1/refresh-tokens", tokenKey, respelt)
      assert.deepStrictEqual(assertJson(again, 201), first)
    }))

  it.effect("answers a late retry with the user as it is now, and undoes nothing", () =>
    Effect.gen(function* () {
      const key = aKey()
      const body = aUserBody({ fullName: "Before" })
      yield* postOnce("/v1/users", key, body)
      const changed = yield* patch(`/v1/users/${key}`, { fullName: "After", email: anEmail() })
      const retry = yield* postOnce("/v1/users", key, body)
      assert.deepStrictEqual(assertJson(retry, 201), changed.json)
      assert.strictEqual(retry.headers["etag"], changed.headers["etag"])
    }))

  it.effect("revives neither a revoked nor a rotated token", () =>
    Effect.gen(function* () {
      const key = aKey()
      const body = aTokenBody(yield* aNewUserId)
      const path = `/v1/refresh-tokens/${body["tokenHash"]}`
      yield* postOnce("/v1/refresh-tokens", key, body)
      const revoked = assertJson(yield* post(`${path}/revoke`, {}), 200)
      const retry = yield* postOnce("/v1/refresh-tokens", key, body)
      assert.deepStrictEqual(assertJson(retry, 201), revoked)
      assert.isFalse(retry.json["isValid"])
    }))

  it.effect("of a rotation answers a late retry with the successor as it is now", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      const key = aKey()
      const body = aSuccessorBody()
      const path = `/v1/refresh-tokens/${tokenHash}/rotate`
      yield* postOnce(path, key, body)
      const revoked = assertJson(
        yield* post(`/v1/refresh-tokens/${body["tokenHash"]}/revoke`, {}),
        200,
      )
      const retry = yield* postOnce(path, key, body)
      assert.deepStrictEqual(assertJson(retry, 201), revoked)
    }))

  it.effect("is free again when its row is gone, and when its request was refused", () =>
    Effect.gen(function* () {
      const key = aKey()
      const body = aUserBody()
      yield* postOnce("/v1/users", key, body)
      yield* call("DELETE", `/v1/users/${key}`)
      const other = aUserBody()
      assert.strictEqual(
        assertJson(yield* postOnce("/v1/users", key, other), 201)["email"],
        other["email"],
      )

      const refused = aKey()
      const taken = aUserBody({ email: other["email"] })
      assertProblem(yield* postOnce("/v1/users", refused, taken), 409, "email-taken")
      const incomplete = { email: anEmail(), authProvider: "email" }
      const answer = yield* postOnce("/v1/users", refused, incomplete)
      assertProblem(answer, 422, "credentials-missing")
      assertJson(yield* postOnce("/v1/users", refused, aUserBody()), 201)
    }))

  it.effect("is one per kind of row", () =>
    Effect.gen(function* () {
      const key = aKey()
      assertJson(yield* postOnce("/v1/users", key, aUserBody()), 201)
      assertJson(yield* postOnce("/v1/refresh-tokens", key, aTokenBody(key)), 201)
      assertJson(yield* postOnce("/v1/login-attempts", key, anAttemptBody({ userId: key })), 201)
    }))

  it.effect("of a token is not good for a rotation, nor the other way round", () =>
    Effect.gen(function* () {
      const created = yield* createToken()
      const path = `/v1/refresh-tokens/${created["tokenHash"]}/rotate`
      const key = aKey()
      const body = aSuccessorBody()
      assertJson(yield* postOnce(path, key, body), 201)
      const asToken = yield* postOnce("/v1/refresh-tokens", key, {
        userId: created["userId"],
        ...body,
      })
      assertProblem(asToken, 422, "idempotency-key-reused")
    }))

  it.effect("that is the id of a row made without one belongs to another request", () =>
    Effect.gen(function* () {
      const body = aGoogleUserBody()
      const id = stringAt(assertJson(yield* post("/v1/users", body), 201), "id")
      assertProblem(yield* postOnce("/v1/users", id, body), 422, "idempotency-key-reused")
      const other = yield* postOnce("/v1/users", id, aGoogleUserBody())
      assertProblem(other, 422, "idempotency-key-reused")
      assert.strictEqual((yield* get(`/v1/users/${id}`)).json["email"], body["email"])
    }))
})
