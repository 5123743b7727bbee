import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertInvalid, assertJson, assertProblem } from "../support/answers.ts"
import { aSuccessorBody, createAttempt, createToken } from "../support/bodies.ts"
import { call, get, post } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

const tokens = "/v1/maintenance/delete-expired-tokens"
const attempts = "/v1/maintenance/delete-old-login-attempts"

const aTokenThatExpired = Effect.fnUntraced(function* (days: number) {
  const sql = yield* SqlClient.SqlClient
  const { tokenHash } = yield* createToken()
  yield* sql`
    UPDATE refresh_tokens
    SET expires_at = now() - make_interval(hours => ${24 * days}::int, mins => 1)
    WHERE token_hash = ${String(tokenHash)}`
  return `/v1/refresh-tokens/${tokenHash}`
})

const anAttemptOf = Effect.fnUntraced(function* (daysAgo: number) {
  const sql = yield* SqlClient.SqlClient
  const { id } = yield* createAttempt()
  yield* sql`
    UPDATE login_attempts
    SET attempted_at = now() - make_interval(hours => ${24 * daysAgo}::int, mins => 1)
    WHERE id = ${String(id)}`
  return Effect.map(
    sql`SELECT id FROM login_attempts WHERE id = ${String(id)}`,
    (rows) => rows.length === 1,
  )
})

// One after the other: each deletes what another could be counting.
layer(TestService)("clean-up", (it) => {
  it.effect("deletes tokens that expired 7 days ago, or as many as are asked for", () =>
    Effect.gen(function* () {
      const old = yield* aTokenThatExpired(7)
      const younger = yield* aTokenThatExpired(6)
      const youngest = yield* aTokenThatExpired(0)

      assert.deepStrictEqual(assertJson(yield* post(tokens, {}), 200), { deleted: 1 })
      assertProblem(yield* get(old), 404, "refresh-token-not-found")
      const asked = yield* post(tokens, { olderThanDays: 6 })
      assert.deepStrictEqual(assertJson(asked, 200), { deleted: 1 })
      assertProblem(yield* get(younger), 404, "refresh-token-not-found")
      assertJson(yield* get(youngest), 200)
      const all = yield* post(tokens, { olderThanDays: 0 })
      assert.deepStrictEqual(assertJson(all, 200), { deleted: 1 })
    }))

  it.effect("leaves a rotated token that has not expired, so that its reuse is seen", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      const path = `/v1/refresh-tokens/${tokenHash}`
      yield* post(`${path}/rotate`, aSuccessorBody())
      assertJson(yield* post(tokens, { olderThanDays: 0 }), 200)
      assertProblem(yield* post(`${path}/rotate`, aSuccessorBody()), 409, "refresh-token-reused")
    }))

  it.effect("deletes attempts of 90 days ago, or as many as are asked for", () =>
    Effect.gen(function* () {
      const oldIsThere = yield* anAttemptOf(90)
      const youngerIsThere = yield* anAttemptOf(89)

      assert.deepStrictEqual(assertJson(yield* post(attempts, {}), 200), { deleted: 1 })
      assert.isFalse(yield* oldIsThere)
      assert.isTrue(yield* youngerIsThere)
      const asked = yield* post(attempts, { olderThanDays: 89 })
      assert.deepStrictEqual(assertJson(asked, 200), { deleted: 1 })
      assert.isFalse(yield* youngerIsThere)
    }))

  it.effect("takes 0 to 36,500 whole days, and nothing else", () =>
    Effect.gen(function* () {
      for (const path of [tokens, attempts]) {
        assertJson(yield* post(path, { olderThanDays: 36_500 }), 200)
        for (const olderThanDays of [-1, 36_501, 0.5, "7", null, [], 1e300, true]) {
          assertInvalid(yield* post(path, { olderThanDays }), "olderThanDays")
        }
        assertInvalid(yield* post(path, { days: 1 }), "days")
      }
    }))

  it.effect("goes by its defaults without a body", () =>
    Effect.gen(function* () {
      for (const path of [tokens, attempts]) {
        assert.deepStrictEqual(assertJson(yield* call("POST", path), 200), { deleted: 0 })
      }
    }))
})
