import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertInvalid, assertJson, assertProblem, stringAt } from "../support/answers.ts"
import { anAttemptBody, aNewUserId, createAttempt, createUser } from "../support/bodies.ts"
import { call, get, post } from "../support/calls.ts"
import { anEmail } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

const attemptKeys = [
  "attemptedAt",
  "email",
  "failureReason",
  "id",
  "ipAddress",
  "pending",
  "success",
  "userAgent",
  "userId",
]

const countOf = Effect.fnUntraced(function* (target: string) {
  const body = assertJson(yield* get(target), 200)
  assert.deepStrictEqual(Object.keys(body), ["count"])
  return body["count"]
})

/** An address of the documentation prefix that no other test uses. */
const anUnusedAddress = () => {
  const groups = crypto.randomUUID().replaceAll("-", "").slice(0, 24).match(/.{4}/g) ?? []
  return ["2001", "db8", ...groups.map((group) => `1${group.slice(1)}`)].join(":")
}

/** Moves an attempt into the past. */
const age = Effect.fnUntraced(function* (id: unknown, minutes: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE login_attempts
    SET attempted_at = now() - make_interval(mins => ${minutes}::int)
    WHERE id = ${String(id)}`
})

layer(TestService)("POST /v1/login-attempts", (it) => {
  it.effect("keeps an attempt of somebody unknown", () =>
    Effect.gen(function* () {
      const body = anAttemptBody()
      const attempt = assertJson(yield* post("/v1/login-attempts", body), 201)
      assert.deepStrictEqual(Object.keys(attempt).sort(), attemptKeys)
      assert.deepInclude(attempt, { ...body, userId: null, userAgent: null, failureReason: null })
      assert.match(stringAt(attempt, "attemptedAt"), /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/)
    }))

  it.effect("keeps everything that can be said of an attempt", () =>
    Effect.gen(function* () {
      const said = {
        userId: yield* aNewUserId,
        userAgent: "curl",
        success: true,
        failureReason: "x".repeat(256),
      }
      assert.deepInclude(yield* createAttempt(said), said)
    }))

  it.effect("cuts a user agent at 1,024 characters rather than not count the attempt", () =>
    Effect.gen(function* () {
      for (const [character, length] of [["x", 1025], ["😀", 1025], ["x", 100_000]] as const) {
        const { userAgent } = yield* createAttempt({ userAgent: character.repeat(length) })
        assert.strictEqual(userAgent, character.repeat(1024))
      }
    }))

  it.effect("refuses a user who is not there", () =>
    Effect.gen(function* () {
      const body = anAttemptBody({ userId: crypto.randomUUID() })
      assertProblem(yield* post("/v1/login-attempts", body), 422, "user-not-found")
    }))

  it.effect("names every property that is wrong or unknown", () =>
    Effect.gen(function* () {
      assertInvalid(yield* post("/v1/login-attempts", {}), "email", "ipAddress", "success")
      assertInvalid(
        yield* post("/v1/login-attempts", {
          userId: "me",
          email: "me",
          ipAddress: null,
          userAgent: 5,
          success: "false",
          failureReason: "",
          attemptedAt: "2026-01-01T00:00:00Z",
        }),
        "userId",
        "email",
        "ipAddress",
        "userAgent",
        "success",
        "failureReason",
        "attemptedAt",
      )
      const tooLong = anAttemptBody({ failureReason: "x".repeat(257) })
      assertInvalid(yield* post("/v1/login-attempts", tooLong), "failureReason")
    }))
})

layer(TestService)("GET /v1/users/{id}/login-attempts/recent-failures", (it) => {
  it.effect("counts the user's failures of the last 15 minutes, or as many as are asked for", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const path = `/v1/users/${userId}/login-attempts/recent-failures`
      assert.strictEqual(yield* countOf(path), 0)
      for (const minutes of [0, 14, 16, 43_199, 43_201]) {
        yield* age((yield* createAttempt({ userId }))["id"], minutes)
      }
      yield* createAttempt({ userId, success: true })
      yield* createAttempt()

      assert.strictEqual(yield* countOf(path), 2)
      assert.strictEqual(yield* countOf(`${path}?minutes=1`), 1)
      assert.strictEqual(yield* countOf(`${path}?minutes=17`), 3)
      assert.strictEqual(yield* countOf(`${path}?minutes=43200`), 4)
    }))

  it.effect("begins at 0 for a new account with the address of a deleted one", () =>
    Effect.gen(function* () {
      const { id, email } = yield* createUser()
      yield* createAttempt({ userId: id, email })
      yield* call("DELETE", `/v1/users/${id}`)

      const { id: uuidV7 } = yield* createUser({ email })

      const ofUser = `/v1/users/${uuidV7}/login-attempts/recent-failures`
      assert.strictEqual(yield* countOf(ofUser), 0)
      assert.strictEqual(yield* countOf(`/v1/login-attempts/recent-failures?email=${email}`), 1)
    }))

  it.effect("does not find a user who is not there", () =>
    Effect.gen(function* () {
      const path = `/v1/users/${crypto.randomUUID()}/login-attempts/recent-failures`
      assertProblem(yield* get(path), 404, "user-not-found")
      assertInvalid(yield* get("/v1/users/me/login-attempts/recent-failures"), "id")
    }))

  it.effect("refuses a window that is none", () =>
    Effect.gen(function* () {
      const path = `/v1/users/${yield* aNewUserId}/login-attempts/recent-failures`
      for (
        const minutes of ["", "0", "43201", "-1", "1.5", "1e3", "0x10", "ten", "%2015", "+15"]
      ) {
        assertInvalid(yield* get(`${path}?minutes=${minutes}`), "minutes")
      }
      assertInvalid(yield* get(`${path}?minutes=${"9".repeat(400)}`), "minutes")
      assertInvalid(yield* get(`${path}?minute=15`), "minute")
    }))
})

layer(TestService)("GET /v1/login-attempts/recent-failures", (it) => {
  it.effect("counts by e-mail address, by IP address, and by both together", () =>
    Effect.gen(function* () {
      const email = anEmail()
      const ipAddress = anUnusedAddress()
      yield* createAttempt({ email, ipAddress })
      yield* createAttempt({ email: email.toUpperCase(), ipAddress: "192.0.2.9" })
      yield* createAttempt({ ipAddress })
      yield* createAttempt({ ipAddress })
      yield* createAttempt({ email, ipAddress, success: true })

      const path = "/v1/login-attempts/recent-failures"
      const query = `ipAddress=${encodeURIComponent(ipAddress)}`
      assert.strictEqual(yield* countOf(`${path}?email=${email}`), 2)
      assert.strictEqual(yield* countOf(`${path}?${query}`), 3)
      assert.strictEqual(yield* countOf(`${path}?email=${email}&${query}`), 1)
      assert.strictEqual(yield* countOf(`${path}?email=${anEmail()}`), 0)
    }))

  it.effect("counts within the window that is asked for", () =>
    Effect.gen(function* () {
      const email = anEmail()
      for (const minutes of [0, 14, 16]) {
        yield* age((yield* createAttempt({ email }))["id"], minutes)
      }
      const path = `/v1/login-attempts/recent-failures?email=${email}`
      assert.strictEqual(yield* countOf(path), 2)
      assert.strictEqual(yield* countOf(`${path}&minutes=1`), 1)
      assert.strictEqual(yield* countOf(`${path}&minutes=43200`), 3)
      assertInvalid(yield* get(`${path}&minutes=0`), "minutes")
      assertInvalid(yield* get(`${path}&minutes=43201`), "minutes")
    }))

  it.effect("wants an e-mail address or an IP address", () =>
    Effect.gen(function* () {
      const path = "/v1/login-attempts/recent-failures"
      assertInvalid(yield* get(path), "email")
      assertInvalid(yield* get(`${path}?minutes=5`), "email")
      assertInvalid(yield* get(`${path}?email=`), "email")
      assertInvalid(yield* get(`${path}?email=nobody`), "email")
      assertInvalid(yield* get(`${path}?ipAddress=`), "ipAddress")
      assertInvalid(yield* get(`${path}?email=${anEmail()}&user=1`), "user")
    }))
})
