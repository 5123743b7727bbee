import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import {
  assertInvalid,
  assertJson,
  assertPage,
  assertProblem,
  stringAt,
} from "../support/answers.ts"
import { aNewUserId, aSuccessorBody, createToken } from "../support/bodies.ts"
import { call, get, post } from "../support/calls.ts"
import { aTokenHash } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

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

layer(TestService)("a user's refresh tokens", (it) => {
  it.effect("agree about who is live in lists, /valid and isValid, before and after the moment", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const names = ["live", "expired", "expiring", "revoked", "rotated"] as const
      const hashes = new Map<string, string>()
      for (const name of names) {
        hashes.set(name, stringAt(yield* createToken({ userId }), "tokenHash"))
      }
      yield* expire(hashes.get("expired"))
      yield* revoke(hashes.get("revoked"))
      const successor = aSuccessorBody()
      yield* rotate(hashes.get("rotated"), successor)
      hashes.set("successor", String(successor["tokenHash"]))

      const agree = Effect.fnUntraced(function* (live: ReadonlyArray<string>) {
        const list = (query: string) =>
          Effect.map(get(`/v1/users/${userId}/refresh-tokens${query}`), assertPage)
        const named = (items: ReadonlyArray<{ readonly [name: string]: unknown }>) =>
          [...hashes].filter(([, hash]) => items.some((item) => item["tokenHash"] === hash))
            .map(([name]) => name)
        const all = yield* list("")
        const active = yield* list("?active=true")
        const inactive = yield* list("?active=false")
        assert.lengthOf(all.items, hashes.size)
        assert.lengthOf([...active.items, ...inactive.items], hashes.size)
        assert.deepStrictEqual(named(active.items), live)
        assert.deepStrictEqual(named(all.items.filter((item) => item["isValid"] === true)), live)
        assert.isTrue(active.items.every((item) => item["isValid"] === true))
        assert.isTrue(inactive.items.every((item) => item["isValid"] === false))
        for (const [name, hash] of hashes) {
          const token = yield* get(pathOf(hash))
          const valid = yield* get(`${pathOf(hash)}/valid`)
          assert.strictEqual(token.json["isValid"], live.includes(name), name)
          assert.strictEqual(valid.status, live.includes(name) ? 200 : 404, name)
        }
      })

      yield* agree(["live", "expiring", "successor"])
      yield* expire(hashes.get("expiring"))
      yield* agree(["live", "successor"])
    }))

  it.effect("are all revoked at once, and only live ones are counted", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { tokenHash } = yield* createToken({ userId })
      yield* createToken({ userId })
      yield* revoke((yield* createToken({ userId }))["tokenHash"])
      yield* expire((yield* createToken({ userId }))["tokenHash"])
      const path = `/v1/users/${userId}/refresh-tokens/revoke`

      assert.deepStrictEqual(assertJson(yield* post(path, {}), 200), { revoked: 2 })
      assert.deepStrictEqual(assertJson(yield* post(path, {}), 200), { revoked: 0 })
      assert.isString((yield* get(pathOf(tokenHash))).json["revokedAt"])
      assert.isTrue((yield* createToken({ userId }))["isValid"])
    }))

  it.effect("are spared only when they are live and the user's own", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { tokenHash: kept } = yield* createToken({ userId })
      const { tokenHash: dead } = yield* createToken({ userId })
      yield* revoke(dead)
      const { tokenHash: foreign } = yield* createToken()
      const path = `/v1/users/${userId}/refresh-tokens/revoke`

      yield* createToken({ userId })
      const spared = yield* post(path, { exceptTokenHash: kept })
      assert.deepStrictEqual(assertJson(spared, 200), { revoked: 1 })
      assert.isTrue((yield* get(pathOf(kept))).json["isValid"])
      for (const [index, exceptTokenHash] of [dead, foreign, aTokenHash(), null].entries()) {
        const answer = yield* post(path, { exceptTokenHash })
        assert.deepStrictEqual(assertJson(answer, 200), { revoked: 1 }, String(index))
        yield* createToken({ userId })
      }
      assert.isTrue((yield* get(pathOf(foreign))).json["isValid"])
      assertInvalid(yield* post(path, { exceptTokenHash: "" }), "exceptTokenHash")
      assertInvalid(yield* post(path, { except: kept }), "except")
    }))

  it.effect("are neither listed nor revoked for a user who is not there", () =>
    Effect.gen(function* () {
      const path = `/v1/users/${crypto.randomUUID()}/refresh-tokens`
      assertProblem(yield* get(path), 404, "user-not-found")
      assertProblem(yield* post(`${path}/revoke`, {}), 404, "user-not-found")
      assertInvalid(yield* get("/v1/users/me/refresh-tokens"), "id")
      assertInvalid(yield* post("/v1/users/me/refresh-tokens/revoke", {}), "id")
    }))

  it.effect("go with the user", () =>
    Effect.gen(function* () {
      const { userId, tokenHash } = yield* createToken()
      assert.strictEqual((yield* call("DELETE", `/v1/users/${userId}`)).status, 204)
      assertProblem(yield* get(pathOf(tokenHash)), 404, "refresh-token-not-found")
    }))

  it.effect("are filtered by true and false, and by no other word", () =>
    Effect.gen(function* () {
      const path = `/v1/users/${yield* aNewUserId}/refresh-tokens`
      for (const word of ["", "1", "TRUE", "yes", "null"]) {
        assertInvalid(yield* get(`${path}?active=${word}`), "active")
      }
    }))
})
