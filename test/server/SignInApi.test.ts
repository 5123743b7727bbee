import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import {
  assertInvalid,
  assertJson,
  assertPage,
  assertProblem,
  type JsonObject,
  stringAt,
} from "../support/answers.ts"
import {
  aNewUserId,
  aTokenBody,
  createAttempt,
  createToken,
  createUser,
} from "../support/bodies.ts"
import { call, type CallOptions, get, patch, post } from "../support/calls.ts"
import { anEmail } from "../support/factories.ts"
import { keyWith, TestService } from "../support/TestService.ts"

let hosts = 0
/** Another one each time, in a network of its own. */
const aHost = () => `10.${20 + Math.floor(++hosts / 250)}.${hosts % 250}.7`

const several = (times: number) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.all(Array.from({ length: times }, () => effect), { concurrency: "unbounded" })

const begin = (body: JsonObject, options?: CallOptions, query = "") =>
  post(`/v1/login-attempts/begin${query}`, body, options)
const begun = (body: JsonObject) => Effect.map(begin(body), (answer) => assertJson(answer, 201))
const attemptIn = (answer: JsonObject) => answer["attempt"] as JsonObject
const complete = (answer: JsonObject, body: JsonObject, options?: CallOptions) =>
  post(`/v1/login-attempts/${stringAt(attemptIn(answer), "id")}/complete`, body, options)
const limit = (by: string, failures = 5, minutes = 15) => ({ by, failures, minutes })
/** The only limit that an attempt was refused by. */
const exceededIn = ({ json }: { readonly json: JsonObject }) => {
  const [exceeded, ...others] = json["limits"] as ReadonlyArray<{ readonly retryAfter: number }>
  assert.lengthOf(others, 0)
  return exceeded ?? assert.fail("no limit was exceeded")
}
const countsOf = (answer: JsonObject) =>
  (answer["counts"] as ReadonlyArray<JsonObject>).map(({ count }) => count)

layer(TestService)("forty sign-ins at once against a limit of five", (it) => {
  const bodies: Readonly<Record<string, () => (index: number) => JsonObject>> = {
    email: () => {
      const email = anEmail()
      return () => ({ email, ipAddress: aHost() })
    },
    ipAddress: () => {
      const ipAddress = aHost()
      return () => ({ email: anEmail(), ipAddress })
    },
    ipPrefix: () => {
      const network = aHost().replace(/\.\d+$/, "")
      return (index) => ({ email: anEmail(), ipAddress: `${network}.${index}` })
    },
    emailAndIpAddress: () => {
      const body = { email: anEmail(), ipAddress: aHost() }
      return () => body
    },
  }

  for (const [by, make] of Object.entries(bodies)) {
    it.effect(`are five that begin, by ${by}`, () =>
      Effect.gen(function* () {
        const bodyOf = make()
        const answers = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, index) => bodyOf(index)),
          (body) => begin({ ...body, limits: [limit(by)] }),
          { concurrency: "unbounded" },
        )
        assert.lengthOf(answers.filter(({ status }) => status === 201), 5)
        const refused = answers.filter(({ status }) => status !== 201)
        assert.lengthOf(refused, 35)
        for (const answer of refused) {
          assertProblem(answer, 429, "too-many-failures")
          const { retryAfter, ...exceeded } = exceededIn(answer)
          assert.deepStrictEqual(exceeded, { by, failures: 5, count: 5 })
          assert.isTrue(retryAfter > 800 && retryAfter <= 900, String(retryAfter))
          assert.strictEqual(answer.headers["retry-after"], String(retryAfter))
        }
      }))
  }
})

layer(TestService)("a sign-in", (it) => {
  it.effect("is two requests: begin with the credentials, complete with the token", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const userId = stringAt(user, "id")
      const body = { email: user["email"], ipAddress: aHost(), userAgent: "Firefox" }
      const answer = yield* begin({ ...body, limits: [limit("email")] }, {}, "?include=credentials")
      const started = assertJson(answer, 201)
      assert.deepInclude(attemptIn(started), {
        ...body,
        userId,
        success: false,
        failureReason: null,
        pending: true,
      })
      assert.deepStrictEqual(started["counts"], [
        { by: "email", minutes: 15, failures: 5, count: 0 },
      ])
      assert.isFalse(started["knownSource"])
      const credentials = yield* get(`/v1/users/${userId}/credentials`)
      assert.deepStrictEqual(started["user"], credentials.json)

      const refreshToken = aTokenBody(userId, { userVersion: credentials.json["version"] })
      const verdict = { success: true, refreshToken }
      const completed = assertJson(yield* complete(started, verdict), 200)
      assert.deepInclude(attemptIn(completed), { success: true, pending: false })
      assert.deepInclude(completed["refreshToken"], {
        userId,
        tokenHash: refreshToken["tokenHash"],
        isValid: true,
      })
      assert.deepStrictEqual(assertJson(yield* complete(started, verdict), 200), completed)
      assert.isTrue((yield* begun(body))["knownSource"])
      assert.isFalse((yield* begun({ ...body, ipAddress: aHost() }))["knownSource"])
    }))

  it.effect("answers for an unknown address as for a known one, without a user", () =>
    Effect.gen(function* () {
      const body = { email: anEmail(), ipAddress: aHost(), limits: [limit("email", 1)] }
      const answer = assertJson(yield* begin(body, {}, "?include=credentials"), 201)
      assert.isNull(answer["user"])
      assert.isNull(attemptIn(answer)["userId"])
      assertProblem(yield* begin(body), 429, "too-many-failures")
      assert.notProperty(yield* begun({ ...body, email: anEmail() }), "user")
    }))

  it.effect("that is begun and never completed is a failure", () =>
    Effect.gen(function* () {
      const email = anEmail()
      yield* begun({ email, ipAddress: aHost() })
      const count = yield* get(`/v1/login-attempts/recent-failures?email=${email}`)
      assert.deepStrictEqual(assertJson(count, 200), { count: 1 })
    }))

  it.effect("is completed once: the same again repeats, another verdict is refused", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { email } = assertJson(yield* get(`/v1/users/${userId}`), 200)
      const started = yield* begun({ email, ipAddress: aHost() })
      const failure = { success: false, failureReason: "wrong password" }
      const completed = assertJson(yield* complete(started, failure), 200)
      assert.deepStrictEqual(assertJson(yield* complete(started, failure), 200), completed)
      for (
        const other of [
          { success: false },
          { success: true },
          { success: true, refreshToken: aTokenBody(userId) },
        ]
      ) assertProblem(yield* complete(started, other), 409, "attempt-completed")
      const whole = yield* createAttempt({ success: false })
      assert.isFalse(whole["pending"])
      assertProblem(
        yield* complete({ attempt: whole }, { success: false }),
        409,
        "attempt-completed",
      )
      assertProblem(
        yield* complete({ attempt: { id: crypto.randomUUID() } }, { success: false }),
        404,
        "login-attempt-not-found",
      )
    }))

  it.effect("is completed by one of ten equal requests at once, and answered to all", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { email } = assertJson(yield* get(`/v1/users/${userId}`), 200)
      const started = yield* begun({ email, ipAddress: aHost() })
      const verdict = { success: true, refreshToken: aTokenBody(userId) }
      const answers = yield* several(10)(Effect.suspend(() => complete(started, verdict)))
      const [first] = answers.map((answer) => assertJson(answer, 200))
      for (const answer of answers) assert.deepStrictEqual(answer.json, first)
    }))

  it.effect("is completed as before when the token is gone", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const userId = yield* aNewUserId
      const { email } = assertJson(yield* get(`/v1/users/${userId}`), 200)
      const started = yield* begun({ email, ipAddress: aHost() })
      const verdict = { success: true, refreshToken: aTokenBody(userId) }
      const { attempt } = assertJson(yield* complete(started, verdict), 200)
      yield* sql`DELETE FROM refresh_tokens WHERE user_id = ${userId}`
      assert.deepStrictEqual(assertJson(yield* complete(started, verdict), 200), {
        attempt,
        refreshToken: null,
      })
      for (
        const other of [
          { success: true },
          { success: true, refreshToken: aTokenBody(userId) },
        ]
      ) assertProblem(yield* complete(started, other), 409, "attempt-completed")
    }))

  it.effect("is not completed where its token is refused", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const user = yield* get(`/v1/users/${userId}`)
      const { email } = assertJson(user, 200)
      const taken = yield* createToken()
      const started = yield* begun({ email, ipAddress: aHost() })
      const refused = Effect.fnUntraced(function* (
        token: JsonObject,
        status: number,
        name: string,
      ) {
        const answer = yield* complete(started, {
          success: true,
          refreshToken: aTokenBody(userId, token),
        })
        assertProblem(answer, status, name)
      })
      yield* refused({ userId: yield* aNewUserId }, 422, "user-not-found")
      yield* refused({ userVersion: "0" }, 412, "precondition-failed")
      yield* refused({ tokenHash: taken["tokenHash"] }, 409, "token-hash-taken")
      const expired = {
        success: true,
        refreshToken: aTokenBody(userId, { expiresAt: "2020-01-01T00:00:00Z" }),
      }
      assertInvalid(yield* complete(started, expired), "refreshToken.expiresAt")
      yield* createToken({ userId, maxSessions: 1 })
      yield* refused({ maxSessions: 1, onLimit: "refuse" }, 409, "session-limit")
      yield* patch(`/v1/users/${userId}`, { isActive: false })
      yield* refused({}, 409, "user-inactive")
      assertInvalid(
        yield* complete(started, { success: false, refreshToken: aTokenBody(userId) }),
        "refreshToken",
      )
      const unknown = yield* begun({ email: anEmail(), ipAddress: aHost() })
      assertProblem(
        yield* complete(unknown, { success: true, refreshToken: aTokenBody(userId) }),
        422,
        "user-not-found",
      )
      assertJson(yield* complete(started, { success: false }), 200)
    }))

  it.effect("takes an idempotency key, and counts as it did then", () =>
    Effect.gen(function* () {
      const email = anEmail()
      const ipAddress = aHost()
      yield* begun({ email, ipAddress })
      const body = { email, ipAddress, limits: [limit("email")] }
      const headers = { "idempotency-key": crypto.randomUUID() }
      const first = assertJson(yield* begin(body, { headers }), 201)
      assert.deepStrictEqual(countsOf(first), [1])
      yield* begun({ email, ipAddress })
      assert.deepStrictEqual(assertJson(yield* begin(body, { headers }), 201), first)
      assertProblem(
        yield* begin({ ...body, userAgent: "another" }, { headers }),
        422,
        "idempotency-key-reused",
      )
    }))

  it.effect("needs the scopes of what it gives and makes", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { email } = assertJson(yield* get(`/v1/users/${userId}`), 200)
      const key = keyWith("attempts:write")
      const body = { email, ipAddress: aHost() }
      const started = assertJson(yield* begin(body, { key }), 201)
      assertProblem(yield* begin(body, { key }, "?include=credentials"), 403, "forbidden")
      const verdict = { success: true, refreshToken: aTokenBody(userId) }
      assertProblem(yield* complete(started, verdict, { key }), 403, "forbidden")
      assertJson(yield* complete(started, { success: true }, { key }), 200)
    }))
})

layer(TestService)("limits on failures", (it) => {
  it.effect("count an address since its last success, a host always", () =>
    Effect.gen(function* () {
      const email = anEmail()
      const ipAddress = aHost()
      const limits = ["email", "emailAndIpAddress", "ipAddress", "ipPrefix"].map((by) =>
        limit(by, 100)
      )
      const fail = (from = ipAddress) =>
        Effect.flatMap(
          begun({ email, ipAddress: from }),
          (attempt) => complete(attempt, { success: false }),
        )
      for (const from of [ipAddress, ipAddress, aHost()]) yield* fail(from)
      const body = { email: email.toUpperCase(), ipAddress, limits }
      const third = yield* begun(body)
      assert.deepStrictEqual(countsOf(third), [3, 2, 2, 2])
      assertJson(yield* complete(third, { success: true }), 200)
      yield* fail()
      assert.deepStrictEqual(countsOf(yield* begun(body)), [1, 1, 3, 3])
    }))

  it.effect("of address and host count since the last success from there", () =>
    Effect.gen(function* () {
      const email = anEmail()
      const [here, there] = [aHost(), aHost()]
      const limits = [limit("email"), limit("emailAndIpAddress")]
      yield* begun({ email, ipAddress: here })
      yield* createAttempt({ email, ipAddress: there, success: true })
      assert.deepStrictEqual(
        countsOf(yield* begun({ email, ipAddress: here, limits })),
        [0, 1],
      )
    }))

  it.effect("count since failures were forgiven, and leave them on record", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const userId = stringAt(user, "id")
      const body = { email: user["email"], ipAddress: aHost(), limits: [limit("email", 2)] }
      yield* begun(body)
      yield* begun(body)
      assertProblem(yield* begin(body), 429, "too-many-failures")
      const before = yield* get(`/v1/users/${userId}`)
      const path = `/v1/users/${userId}/login-attempts/forgive`
      const { forgivenAt } = assertJson(yield* call("POST", path), 200)
      assert.match(String(forgivenAt), /^\d{4}-\d\d-\d\dT/)
      assert.deepStrictEqual(countsOf(yield* begun(body)), [0])
      const after = yield* get(`/v1/users/${userId}`)
      assert.strictEqual(after.headers["etag"], before.headers["etag"])
      assert.deepStrictEqual(after.json, before.json)
      const page = assertPage(yield* get(`/v1/users/${userId}/login-attempts`))
      assert.lengthOf(page.items, 3)
      assertProblem(
        yield* post(`/v1/users/${crypto.randomUUID()}/login-attempts/forgive`, {}),
        404,
        "user-not-found",
      )
    }))

  it.effect("have a window, and tell when it frees", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const email = anEmail()
      const body = { email, ipAddress: aHost(), limits: [limit("email", 2, 10)] }
      const first = yield* begun(body)
      yield* begun(body)
      yield* sql`
        UPDATE login_attempts SET attempted_at = now() - interval '9 minutes'
        WHERE id = ${stringAt(attemptIn(first), "id")}::uuid`
      const refused = yield* begin(body)
      assertProblem(refused, 429, "too-many-failures")
      const { retryAfter, ...exceeded } = exceededIn(refused)
      assert.deepStrictEqual(exceeded, { by: "email", failures: 2, count: 2 })
      assert.isTrue(retryAfter > 40 && retryAfter <= 60, String(retryAfter))
      assert.strictEqual(refused.headers["retry-after"], String(retryAfter))
      yield* sql`
        UPDATE login_attempts SET attempted_at = now() - interval '11 minutes'
        WHERE id = ${stringAt(attemptIn(first), "id")}::uuid`
      assert.deepStrictEqual(countsOf(yield* begun(body)), [1])
    }))

  it.effect("write nothing where they refuse", () =>
    Effect.gen(function* () {
      const email = anEmail()
      const body = { email, ipAddress: aHost(), limits: [limit("email", 1)] }
      yield* begun(body)
      yield* several(20)(Effect.suspend(() => begin(body)))
      const page = assertPage(yield* get(`/v1/login-attempts?email=${email}`))
      assert.lengthOf(page.items, 1)
    }))

  it.effect("are at most eight, each within its bounds", () =>
    Effect.gen(function* () {
      const body = { email: anEmail(), ipAddress: aHost() }
      const refused = Effect.fnUntraced(function* (limits: unknown, path: string) {
        assertInvalid(yield* begin({ ...body, limits }), path)
      })
      yield* refused(Array.from({ length: 9 }, () => limit("email")), "limits")
      yield* refused([limit("userId")], "limits.0.by")
      yield* refused([limit("email", 0)], "limits.0.failures")
      yield* refused([limit("email", 10_001)], "limits.0.failures")
      yield* refused([limit("email", 1, 43_201)], "limits.0.minutes")
    }))
})

layer(TestService)("login attempts", (it) => {
  it.effect("are listed by user, address or host, the newest first, page by page", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const userId = stringAt(user, "id")
      const email = stringAt(user, "email")
      const ipAddress = aHost()
      const ids: Array<unknown> = []
      for (const success of [false, true, false]) {
        const attempt = yield* createAttempt({ userId, email, ipAddress, success })
        ids.unshift(attempt["id"])
      }
      const idsOf = Effect.fnUntraced(function* (path: string) {
        const found: Array<unknown> = []
        let cursor = ""
        while (true) {
          const page = assertPage(yield* get(`${path}limit=2${cursor}`))
          found.push(...page.items.map((item) => item["id"]))
          if (page.nextCursor === null) return found
          cursor = `&cursor=${page.nextCursor}`
        }
      })
      assert.deepStrictEqual(yield* idsOf(`/v1/users/${userId}/login-attempts?`), ids)
      assert.deepStrictEqual(
        yield* idsOf(`/v1/login-attempts?email=${email.toUpperCase()}&`),
        ids,
      )
      assert.deepStrictEqual(
        yield* idsOf(`/v1/login-attempts?ipAddress=${ipAddress}&`),
        [ids[0], ids[2]],
      )
      assert.deepStrictEqual(
        yield* idsOf(`/v1/login-attempts?email=${email}&ipAddress=${aHost()}&`),
        [],
      )
      assertInvalid(yield* get("/v1/login-attempts"), "email")
      assertProblem(
        yield* get(`/v1/users/${crypto.randomUUID()}/login-attempts`),
        404,
        "user-not-found",
      )
    }))
})

layer(TestService)("finding users", (it) => {
  it.effect("looks many up at once, each once", () =>
    Effect.gen(function* () {
      const ada = yield* createUser()
      const google = yield* createUser({ authProvider: "google", googleId: crypto.randomUUID() })
      const lookup = (body: JsonObject) => post("/v1/users/lookup", body)
      const found = Effect.fnUntraced(function* (body: JsonObject) {
        const users = assertJson(yield* lookup(body), 200)["users"] as ReadonlyArray<JsonObject>
        return users.map(({ id }) => id)
      })
      const email = stringAt(ada, "email")
      assert.deepStrictEqual(yield* found({ ids: [ada["id"], crypto.randomUUID(), ada["id"]] }), [
        ada["id"],
      ])
      assert.deepStrictEqual(yield* found({ emails: [email.toUpperCase(), email, anEmail()] }), [
        ada["id"],
      ])
      assert.deepStrictEqual(yield* found({ googleIds: [google["googleId"]] }), [google["id"]])
      assertInvalid(yield* lookup({}), "body")
      assertInvalid(yield* lookup({ ids: [ada["id"]], emails: [email] }), "body")
      assertInvalid(yield* lookup({ ids: [] }), "ids")
      assertInvalid(yield* lookup({ emails: [email, "nobody"] }), "emails.1")
      assertInvalid(
        yield* lookup({ ids: Array.from({ length: 501 }, () => crypto.randomUUID()) }),
        "ids",
      )
    }))

  it.effect("lists those whose address begins so, by address", () =>
    Effect.gen(function* () {
      const prefix = `find-${crypto.randomUUID()}`
      for (const name of ["c", "A", "b", "b2", "kelvin"]) {
        yield* createUser({ email: `${prefix}.${name}@example.com` })
      }
      const path = `/v1/users?emailPrefix=${prefix.toUpperCase()}.&limit=3`
      const first = assertPage(yield* get(path))
      const rest = assertPage(yield* get(`${path}&cursor=${first.nextCursor}`))
      assert.deepStrictEqual(
        [...first.items, ...rest.items].map((item) => stringAt(item, "email").split(".")[1]),
        ["A@example", "b2@example", "b@example", "c@example", "kelvin@example"],
      )
      assert.isNull(rest.nextCursor)
      assert.lengthOf(assertPage(yield* get(`/v1/users?emailPrefix=${prefix}.b@`)).items, 1)
      assert.lengthOf(assertPage(yield* get(`/v1/users?emailPrefix=${prefix}.%25`)).items, 0)
      const kelvinSign = `${prefix}.${encodeURIComponent("\u212a")}elvin`
      assert.lengthOf(assertPage(yield* get(`/v1/users?emailPrefix=${kelvinSign}`)).items, 0)
      assertInvalid(yield* get("/v1/users?emailPrefix="), "emailPrefix")
      assertInvalid(yield* get(`/v1/users?cursor=${first.nextCursor}`), "cursor")
    }))

  it.effect("counts them, very many by an estimate unless it is to be exact", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const before = assertJson(yield* get("/v1/users/count"), 200)
      assert.isTrue(before["isExact"])
      yield* createUser()
      const count = Number(before["count"]) + 1
      assert.deepStrictEqual(assertJson(yield* get("/v1/users/count"), 200), {
        count,
        isExact: true,
      })
      assertInvalid(yield* get("/v1/users/count?exact=1"), "exact")
      yield* sql`UPDATE pg_class SET reltuples = 123456 WHERE oid = 'public.users'::regclass`
      assert.deepStrictEqual(assertJson(yield* get("/v1/users/count"), 200), {
        count: 123456,
        isExact: false,
      })
      assert.deepStrictEqual(assertJson(yield* get("/v1/users/count?exact=true"), 200), {
        count,
        isExact: true,
      })
    }))
})
