import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertInvalid, assertJson, assertProblem, stringAt } from "../support/answers.ts"
import {
  aNewUserId,
  aSuccessorBody,
  aTokenBody,
  createToken,
  createUser,
} from "../support/bodies.ts"
import { get, post } from "../support/calls.ts"
import { aTokenHash } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

const tokenKeys = [
  "createdAt",
  "expiresAt",
  "id",
  "ipAddress",
  "isValid",
  "revokedAt",
  "revokedReason",
  "sessionExpiresAt",
  "sessionId",
  "signedInAt",
  "tokenHash",
  "userAgent",
  "userId",
]

const pathOf = (tokenHash: unknown) => `/v1/refresh-tokens/${tokenHash}`
const revoke = (tokenHash: unknown) => post(`${pathOf(tokenHash)}/revoke`, {})
const rotate = (tokenHash: unknown, successor = aSuccessorBody()) =>
  post(`${pathOf(tokenHash)}/rotate`, successor)

const expire = Effect.fnUntraced(function* (tokenHash: unknown) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE refresh_tokens SET expires_at = now() - interval '1 second'
    WHERE token_hash = ${String(tokenHash)}`
})

layer(TestService)("POST /v1/refresh-tokens", (it) => {
  it.effect("creates a token, and tells where it is", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const body = aTokenBody(userId)
      const answer = yield* post("/v1/refresh-tokens", body)

      const token = assertJson(answer, 201)
      assert.deepStrictEqual(Object.keys(token).sort(), tokenKeys)
      assert.deepInclude(token, {
        ...body,
        revokedAt: null,
        userAgent: null,
        ipAddress: null,
        sessionId: token["id"],
        signedInAt: token["createdAt"],
        sessionExpiresAt: null,
        revokedReason: null,
        isValid: true,
      })
      const found = yield* get(String(answer.headers["location"]))
      assert.deepStrictEqual(assertJson(found, 200), token)
    }))

  it.effect("keeps user agent and address", () =>
    Effect.gen(function* () {
      const client = { userAgent: "Mozilla/5.0 (😀)", ipAddress: "2001:db8::1" }
      assert.deepInclude(yield* createToken(client), client)
    }))

  it.effect("cuts a user agent at 1,024 characters", () =>
    Effect.gen(function* () {
      const { userAgent } = yield* createToken({ userAgent: "😀".repeat(1025) })
      assert.strictEqual(userAgent, "😀".repeat(1024))
    }))

  it.effect("refuses a token that has expired already by the name of its time", () =>
    Effect.gen(function* () {
      const body = aTokenBody(yield* aNewUserId, { expiresAt: "2020-02-29T00:00:00Z" })
      const problem = assertProblem(
        yield* post("/v1/refresh-tokens", body),
        400,
        "invalid-request",
      )
      assert.deepStrictEqual(problem.errors, [
        { path: "expiresAt", message: "Expected a time in the future" },
      ])
      const found = yield* get(`/v1/refresh-tokens/${body["tokenHash"]}`)
      assertProblem(found, 404, "refresh-token-not-found")
    }))

  it.effect("refuses a hash that another token has", () =>
    Effect.gen(function* () {
      const { userId, tokenHash } = yield* createToken()
      const body = aTokenBody(String(userId), { tokenHash })
      assertProblem(yield* post("/v1/refresh-tokens", body), 409, "token-hash-taken")
    }))

  it.effect("refuses a user who is not there", () =>
    Effect.gen(function* () {
      const answer = yield* post("/v1/refresh-tokens", aTokenBody(crypto.randomUUID()))
      assertProblem(answer, 422, "user-not-found")
    }))

  it.effect("names every property that is wrong or unknown", () =>
    Effect.gen(function* () {
      const { id } = yield* createUser()
      assertInvalid(yield* post("/v1/refresh-tokens", {}), "userId", "tokenHash", "expiresAt")
      assertInvalid(
        yield* post("/v1/refresh-tokens", {
          userId: 1,
          tokenHash: "",
          expiresAt: "tomorrow",
          userAgent: {},
          ipAddress: "nowhere",
          sessionExpiresAt: "never",
          userVersion: 1,
          maxSessions: 0,
          onLimit: "punish",
          sessionId: crypto.randomUUID(),
          isValid: true,
        }),
        "userId",
        "tokenHash",
        "expiresAt",
        "userAgent",
        "ipAddress",
        "sessionExpiresAt",
        "userVersion",
        "maxSessions",
        "onLimit",
        "sessionId",
        "isValid",
      )
      const tooLong = aTokenBody(String(id), { tokenHash: "x".repeat(513) })
      assertInvalid(yield* post("/v1/refresh-tokens", tooLong), "tokenHash")
      const { tokenHash } = yield* createToken({
        tokenHash: `${aTokenHash()}${"😀".repeat(512)}`.slice(0, 37 + 2 * 475),
      })
      assert.lengthOf(Array.from(String(tokenHash)), 512)
    }))
})

layer(TestService)("reading refresh tokens", (it) => {
  it.effect("gives a token whatever its state, and by /valid only while it is valid", () =>
    Effect.gen(function* () {
      const live = yield* createToken()
      assert.deepStrictEqual(assertJson(yield* get(pathOf(live["tokenHash"])), 200), live)
      assert.deepStrictEqual(
        assertJson(yield* get(`${pathOf(live["tokenHash"])}/valid`), 200),
        live,
      )

      const { tokenHash: revoked } = yield* createToken()
      yield* revoke(revoked)
      const { tokenHash: expired } = yield* createToken()
      yield* expire(expired)
      const { tokenHash: rotated } = yield* createToken()
      yield* rotate(rotated)
      for (const dead of [revoked, expired, rotated]) {
        assert.isFalse(assertJson(yield* get(pathOf(dead)), 200)["isValid"])
        const answer = yield* get(`${pathOf(dead)}/valid`)
        assertProblem(answer, 404, "refresh-token-not-found")
      }
    }))

  it.effect("does not find what is not there, nor a hash that differs by case", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      for (const missing of [aTokenHash(), String(tokenHash).toUpperCase()]) {
        assertProblem(yield* get(pathOf(missing)), 404, "refresh-token-not-found")
        assertProblem(yield* get(`${pathOf(missing)}/valid`), 404, "refresh-token-not-found")
      }
    }))

  it.effect("refuses a hash that is too long to be one", () =>
    Effect.gen(function* () {
      const tooLong = "x".repeat(513)
      for (const path of [pathOf(tooLong), `${pathOf(tooLong)}/valid`]) {
        assertInvalid(yield* get(path), "tokenHash")
      }
      for (const action of ["revoke", "rotate"]) {
        const answer = yield* post(
          `${pathOf(tooLong)}/${action}`,
          action === "rotate" ? aSuccessorBody() : {},
        )
        assertInvalid(answer, "tokenHash")
      }
    }))
})

layer(TestService)("POST /v1/refresh-tokens/{tokenHash}/revoke", (it) => {
  it.effect("revokes a token, and answers again with the time of the first call", () =>
    Effect.gen(function* () {
      const { revokedAt: _, isValid: __, ...token } = yield* createToken()
      const first = assertJson(yield* revoke(token["tokenHash"]), 200)
      assert.deepInclude(first, { ...token, revokedReason: "logout", isValid: false })
      assert.isNotNaN(Date.parse(stringAt(first, "revokedAt")))
      assert.deepStrictEqual(assertJson(yield* revoke(token["tokenHash"]), 200), first)
    }))

  it.effect("sets revokedAt of an expired token too", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      yield* expire(tokenHash)
      assert.isString(assertJson(yield* revoke(tokenHash), 200)["revokedAt"])
    }))

  it.effect("does not find what is not there", () =>
    Effect.gen(function* () {
      assertProblem(yield* revoke(aTokenHash()), 404, "refresh-token-not-found")
    }))

  it.effect("takes no properties but a reason", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      const refused = yield* post(`${pathOf(tokenHash)}/revoke`, { revokedReason: "logout" })
      assertInvalid(refused, "revokedReason")
      assert.isTrue((yield* get(pathOf(tokenHash))).json["isValid"])
      const revoked = yield* post(`${pathOf(tokenHash)}/revoke`, { reason: "device-lost" })
      assert.strictEqual(assertJson(revoked, 200)["revokedReason"], "device-lost")
    }))
})

layer(TestService)("POST /v1/refresh-tokens/{tokenHash}/rotate", (it) => {
  it.effect("replaces a token by a new one of the same user", () =>
    Effect.gen(function* () {
      const old = yield* createToken()
      const body = aSuccessorBody({ userAgent: "curl", ipAddress: "192.0.2.7" })
      const answer = yield* rotate(old["tokenHash"], body)

      const successor = assertJson(answer, 201)
      assert.deepStrictEqual(Object.keys(successor).sort(), tokenKeys)
      assert.deepInclude(successor, {
        ...body,
        userId: old["userId"],
        sessionId: old["sessionId"],
        signedInAt: old["signedInAt"],
        sessionExpiresAt: null,
        revokedReason: null,
        isValid: true,
      })
      const found = yield* get(String(answer.headers["location"]))
      assert.deepStrictEqual(assertJson(found, 200), successor)
      const spent = (yield* get(pathOf(old["tokenHash"]))).json
      assert.isString(spent["revokedAt"])
      assert.strictEqual(spent["revokedReason"], "rotated")
    }))

  it.effect("answers the same pair again as the first time while the successor is live", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      const body = aSuccessorBody()
      const first = assertJson(yield* rotate(tokenHash, body), 201)
      assert.deepStrictEqual(assertJson(yield* rotate(tokenHash, body), 201), first)
    }))

  it.effect("tells reuse from revocation and expiry", () =>
    Effect.gen(function* () {
      const { tokenHash: reused } = yield* createToken()
      yield* rotate(reused)
      assertProblem(yield* rotate(reused), 409, "refresh-token-reused")

      const { tokenHash: revoked } = yield* createToken()
      yield* revoke(revoked)
      assertProblem(yield* rotate(revoked), 409, "refresh-token-revoked")

      const { tokenHash: expired } = yield* createToken()
      yield* expire(expired)
      assertProblem(yield* rotate(expired), 410, "refresh-token-expired")

      assertProblem(yield* rotate(aTokenHash()), 404, "refresh-token-not-found")
    }))

  it.effect("lets the successor's state decide when the same pair comes again too late", () =>
    Effect.gen(function* () {
      const rotated = Effect.fnUntraced(function* () {
        const { tokenHash } = yield* createToken()
        const body = aSuccessorBody()
        assertJson(yield* rotate(tokenHash, body), 201)
        return { successor: body["tokenHash"], again: rotate(tokenHash, body) }
      })
      const toRotated = yield* rotated()
      yield* rotate(toRotated.successor)
      assertProblem(yield* toRotated.again, 409, "refresh-token-reused")

      const toRevoked = yield* rotated()
      yield* revoke(toRevoked.successor)
      assertProblem(yield* toRevoked.again, 409, "refresh-token-revoked")

      const toExpired = yield* rotated()
      yield* expire(toExpired.successor)
      assertProblem(yield* toExpired.again, 410, "refresh-token-expired")
    }))

  it.effect("refuses a hash that another token has, and leaves the old token alive", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      const { tokenHash: taken } = yield* createToken()
      const answer = yield* rotate(tokenHash, aSuccessorBody({ tokenHash: taken }))
      assertProblem(answer, 409, "token-hash-taken")
      assert.isTrue((yield* get(pathOf(tokenHash))).json["isValid"])
    }))

  it.effect("refuses to rotate a token onto itself", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      assertInvalid(yield* rotate(tokenHash, aSuccessorBody({ tokenHash })), "tokenHash")
      assert.isTrue((yield* get(pathOf(tokenHash))).json["isValid"])
    }))

  it.effect("names every property that is wrong or unknown", () =>
    Effect.gen(function* () {
      const { tokenHash, userId } = yield* createToken()
      assertInvalid(yield* rotate(tokenHash, {}), "tokenHash", "expiresAt")
      const expired = aSuccessorBody({ expiresAt: "2020-02-29T00:00:00Z" })
      assertInvalid(yield* rotate(tokenHash, expired), "expiresAt")
      assertInvalid(yield* rotate(tokenHash, aSuccessorBody({ userId })), "userId")
      const ofSession = { sessionExpiresAt: "2099-12-31T23:59:59Z", maxSessions: 1 }
      assertInvalid(
        yield* rotate(tokenHash, aSuccessorBody(ofSession)),
        "sessionExpiresAt",
        "maxSessions",
      )
      const beyond = aSuccessorBody({ graceSeconds: 61, onReuse: "punish" })
      assertInvalid(yield* rotate(tokenHash, beyond), "graceSeconds", "onReuse")
      assert.isTrue((yield* get(pathOf(tokenHash))).json["isValid"])
    }))
})
