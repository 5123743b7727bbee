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
  aSuccessorBody,
  aTokenBody,
  createToken,
  createUser,
} from "../support/bodies.ts"
import { call, type CallOptions, get, patch, post } from "../support/calls.ts"
import { aGoogleId, anEmail } from "../support/factories.ts"
import { keyWith, TestService } from "../support/TestService.ts"

const pathOf = (token: JsonObject) => `/v1/refresh-tokens/${stringAt(token, "tokenHash")}`
const revoke = (token: JsonObject, json = {}) => post(`${pathOf(token)}/revoke`, json)
const rotate = (token: JsonObject, overrides: JsonObject = {}, query = "") =>
  post(`${pathOf(token)}/rotate${query}`, aSuccessorBody(overrides))
const rotated = (token: JsonObject, overrides?: JsonObject) =>
  Effect.map(rotate(token, overrides), (answer) => assertJson(answer, 201))
const read = (token: JsonObject) =>
  Effect.map(get(pathOf(token)), (answer) => assertJson(answer, 200))
const sessionsOf = (userId: string, query = "") =>
  Effect.map(get(`/v1/users/${userId}/sessions${query}`), assertPage)
const liveTokens = (userId: string) =>
  Effect.map(get(`/v1/users/${userId}/refresh-tokens?active=true`), assertPage)
const create = (userId: string, overrides?: JsonObject) =>
  post("/v1/refresh-tokens", aTokenBody(userId, overrides))
const credentialsOf = (userId: string) =>
  Effect.map(get(`/v1/users/${userId}/credentials`), (answer) => assertJson(answer, 200))

const several = (times: number) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.all(Array.from({ length: times }, () => effect), { concurrency: "unbounded" })

/** Has the database take a token's rotation for older than it is. */
const backdateRotation = Effect.fnUntraced(function* (token: JsonObject, seconds: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE refresh_tokens
    SET revoked_at = revoked_at - make_interval(secs => ${seconds})
    WHERE token_hash = ${stringAt(token, "tokenHash")}`
})

layer(TestService)("a session", (it) => {
  it.effect("is what a token begins and its rotations continue", () =>
    Effect.gen(function* () {
      const first = yield* createToken({
        userAgent: "Firefox",
        ipAddress: "192.0.2.7",
        sessionExpiresAt: "2099-06-01T00:00:00Z",
      })
      assert.deepInclude(first, {
        sessionId: first["id"],
        signedInAt: first["createdAt"],
        sessionExpiresAt: "2099-06-01T00:00:00.000Z",
        revokedReason: null,
      })
      const second = yield* rotated(first)
      const third = yield* rotated(second, {
        userAgent: "Chrome",
        expiresAt: "2099-12-31T00:00:00Z",
      })
      assert.deepInclude(second, {
        sessionId: first["id"],
        signedInAt: first["signedInAt"],
        userAgent: "Firefox",
        ipAddress: "192.0.2.7",
      })
      assert.deepInclude(third, {
        sessionId: first["id"],
        userAgent: "Chrome",
        expiresAt: "2099-06-01T00:00:00.000Z",
      })
      assert.strictEqual((yield* read(first))["revokedReason"], "rotated")
    }))

  it.effect("cuts its first token to its end, and has to end in the future", () =>
    Effect.gen(function* () {
      const token = yield* createToken({ sessionExpiresAt: "2098-01-01T00:00:00Z" })
      assert.strictEqual(token["expiresAt"], "2098-01-01T00:00:00.000Z")
      const userId = yield* aNewUserId
      assertInvalid(
        yield* create(userId, { sessionExpiresAt: "2020-01-01T00:00:00Z" }),
        "sessionExpiresAt",
      )
    }))

  it.effect("ends with the revocation of any of its tokens, and says why", () =>
    Effect.gen(function* () {
      const first = yield* createToken()
      const second = yield* rotated(first)
      const answer = assertJson(yield* revoke(first, { reason: "lost-device" }), 200)
      assert.deepInclude(answer, { tokenHash: first["tokenHash"], revokedReason: "rotated" })
      assert.deepInclude(yield* read(second), { isValid: false, revokedReason: "lost-device" })
      const revokedAt = (yield* read(second))["revokedAt"]
      assert.deepInclude(assertJson(yield* revoke(second), 200), {
        revokedAt,
        revokedReason: "lost-device",
      })
    }))

  it.effect("has no live token after a revocation beside a rotation, two hundred times", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const pair = Effect.gen(function* () {
        const token = yield* createToken({ userId })
        const [revoked, { status }] = yield* Effect.all([revoke(token), rotate(token)], {
          concurrency: "unbounded",
        })
        assertJson(revoked, 200)
        assert.include([201, 409], status)
      })
      yield* several(200)(pair)
      assert.deepStrictEqual((yield* liveTokens(userId)).items, [])
    }))

  it.effect("takes a reason that is a slug, and none of latchkey's own", () =>
    Effect.gen(function* () {
      const token = yield* createToken()
      for (
        const reason of ["rotated", "reuse-detected", "user-deactivated", "session-limit", "", "A"]
      ) assertInvalid(yield* revoke(token, { reason }), "reason")
      assertInvalid(yield* revoke(token, { reason: `a${"b".repeat(64)}` }), "reason")
      const answer = assertJson(yield* revoke(token, { reason: null }), 200)
      assert.strictEqual(answer["revokedReason"], "logout")
    }))

  it.effect("is listed once while it is live, the oldest first, page by page", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const first = yield* createToken({
        userId,
        userAgent: "one",
        expiresAt: "2099-12-31T00:00:00Z",
      })
      const second = yield* createToken({ userId, userAgent: "two" })
      yield* revoke(yield* createToken({ userId }))
      const refreshed = yield* rotated(first, { expiresAt: "2098-01-01T00:00:00Z" })
      yield* rotated(first, {
        graceSeconds: 60,
        userAgent: "tab",
        expiresAt: "2097-01-01T00:00:00Z",
      })

      const page = yield* sessionsOf(userId, "?limit=1")
      assert.lengthOf(page.items, 1)
      assert.hasAllKeys(page.items[0], [
        "id",
        "userId",
        "signedInAt",
        "refreshedAt",
        "expiresAt",
        "sessionExpiresAt",
        "userAgent",
        "ipAddress",
      ])
      assert.deepInclude(page.items[0], {
        id: first["id"],
        signedInAt: first["createdAt"],
        expiresAt: refreshed["expiresAt"],
        userAgent: "tab",
      })
      const rest = yield* sessionsOf(userId, `?limit=1&cursor=${page.nextCursor}`)
      assert.deepInclude(rest.items[0], { id: second["id"], userAgent: "two" })
      assert.isNull(rest.nextCursor)
      assertInvalid(yield* get(`/v1/users/${userId}/sessions?limit=0`), "limit")
      assertProblem(
        yield* get(`/v1/users/${crypto.randomUUID()}/sessions`),
        404,
        "user-not-found",
      )
    }))

  it.effect("is ended by its id", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const token = yield* createToken({ userId })
      const other = yield* createToken({ userId })
      yield* rotated(token)
      yield* rotated(token, { graceSeconds: 60 })
      const path = (id: unknown) => `/v1/users/${userId}/sessions/${id}/revoke`
      const ended = yield* post(path(token["id"]), { reason: "admin" })
      assert.deepStrictEqual(assertJson(ended, 200), { revoked: 2 })
      assert.deepStrictEqual(assertJson(yield* call("POST", path(token["id"])), 200), {
        revoked: 0,
      })
      assert.strictEqual((yield* read(other))["isValid"], true)
      assertProblem(yield* post(path(crypto.randomUUID()), {}), 404, "session-not-found")
      const stranger = yield* aNewUserId
      assertProblem(
        yield* post(`/v1/users/${stranger}/sessions/${token["id"]}/revoke`, {}),
        404,
        "session-not-found",
      )
    }))

  it.effect("is spared by revoke-all", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const spared = yield* createToken({ userId })
      const alsoSpared = yield* createToken({ userId })
      const ended = yield* createToken({ userId })
      const answer = yield* post(`/v1/users/${userId}/refresh-tokens/revoke`, {
        exceptSessionId: spared["sessionId"],
        exceptTokenHash: alsoSpared["tokenHash"],
        reason: "admin",
      })
      assert.deepStrictEqual(assertJson(answer, 200), { revoked: 1 })
      assert.strictEqual((yield* read(ended))["revokedReason"], "admin")
      assert.lengthOf((yield* liveTokens(userId)).items, 2)
      yield* post(`/v1/users/${userId}/refresh-tokens/revoke`, {})
      assert.strictEqual((yield* read(spared))["revokedReason"], "logout-all")
    }))
})

layer(TestService)("a limit on sessions", (it) => {
  const outcomesOf = (onLimit: JsonObject) =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const answers = yield* several(40)(
        Effect.suspend(() => create(userId, { maxSessions: 5, ...onLimit })),
      )
      const { items } = yield* sessionsOf(userId)
      return { statuses: answers.map(({ status }) => status), live: items.length }
    })

  it.effect("leaves five of forty that begin at once, and ends the oldest", () =>
    Effect.gen(function* () {
      const { statuses, live } = yield* outcomesOf({})
      assert.deepStrictEqual(new Set(statuses), new Set([201]))
      assert.strictEqual(live, 5)

      const userId = yield* aNewUserId
      const oldest = yield* createToken({ userId })
      const kept = yield* rotated(yield* createToken({ userId }))
      yield* createToken({ userId, maxSessions: 2 })
      assert.strictEqual((yield* read(oldest))["revokedReason"], "session-limit")
      assert.strictEqual((yield* read(kept))["isValid"], true)
    }))

  it.effect("refuses the others where it is to refuse", () =>
    Effect.gen(function* () {
      const { statuses, live } = yield* outcomesOf({ onLimit: "refuse" })
      assert.lengthOf(statuses.filter((status) => status === 201), 5)
      assert.lengthOf(statuses.filter((status) => status === 409), 35)
      assert.strictEqual(live, 5)
      const userId = yield* aNewUserId
      const full = { maxSessions: 1, onLimit: "refuse" }
      const token = yield* createToken({ userId, ...full })
      assertProblem(yield* create(userId, full), 409, "session-limit")
      assertProblem(
        yield* create(userId, { ...full, tokenHash: token["tokenHash"] }),
        409,
        "token-hash-taken",
      )
    }))

  it.effect("repeats a retry without ending another session", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const body = aTokenBody(userId, { maxSessions: 1 })
      const headers = { "idempotency-key": crypto.randomUUID() }
      const created = assertJson(yield* post("/v1/refresh-tokens", body, { headers }), 201)
      const later = yield* createToken({ userId })
      assert.deepStrictEqual(
        assertJson(yield* post("/v1/refresh-tokens", body, { headers }), 201),
        created,
      )
      assert.strictEqual((yield* read(later))["isValid"], true)
    }))

  it.effect("is 1 to 1,000, and has to be given where it is said what to do on it", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      for (const maxSessions of [0, 1_001, 1.5, "5"]) {
        assertInvalid(yield* create(userId, { maxSessions }), "maxSessions")
      }
      assertInvalid(yield* create(userId, { onLimit: "refuse" }), "onLimit")
      assertInvalid(yield* create(userId, { maxSessions: 1, onLimit: "neither" }), "onLimit")
    }))
})

layer(TestService)("a rotation in grace", (it) => {
  it.effect("gives each of two tabs that refresh at once a token of the same session", () =>
    Effect.gen(function* () {
      const token = yield* createToken()
      const answers = yield* several(2)(Effect.suspend(() => rotate(token, { graceSeconds: 10 })))
      const tokens = answers.map((answer) => assertJson(answer, 201))
      assert.deepStrictEqual(new Set(tokens.map((tab) => tab["sessionId"])), new Set([token["id"]]))
      for (const tab of tokens) assert.strictEqual((yield* read(tab))["isValid"], true)
    }))

  it.effect("is repeated by the same pair", () =>
    Effect.gen(function* () {
      const token = yield* createToken()
      yield* rotated(token)
      const body = { ...aSuccessorBody(), graceSeconds: 60 }
      const path = `${pathOf(token)}/rotate`
      const added = assertJson(yield* post(path, body), 201)
      assert.deepStrictEqual(assertJson(yield* post(path, body), 201), added)
    }))

  it.effect("ends with its time, with the rotation of any successor, and after ten", () =>
    Effect.gen(function* () {
      const reused = Effect.fnUntraced(function* (token: JsonObject, graceSeconds: number) {
        assertProblem(yield* rotate(token, { graceSeconds }), 409, "refresh-token-reused")
      })
      const late = yield* createToken()
      yield* rotated(late)
      yield* backdateRotation(late, 30)
      yield* reused(late, 29)
      yield* rotated(late, { graceSeconds: 60 })

      const passed = yield* createToken()
      yield* rotated(passed)
      yield* rotated(yield* rotated(passed, { graceSeconds: 60 }))
      yield* reused(passed, 60)

      const spent = yield* createToken()
      yield* rotated(spent)
      yield* several(10)(Effect.suspend(() => rotated(spent, { graceSeconds: 60 })))
      yield* reused(spent, 60)
      yield* reused(late, 0)
    }))

  it.effect("is for none that was revoked, and for none whose session has ended", () =>
    Effect.gen(function* () {
      const revoked = yield* createToken()
      yield* revoke(revoked)
      assertProblem(
        yield* rotate(revoked, { graceSeconds: 60 }),
        409,
        "refresh-token-revoked",
      )
      const ended = yield* createToken()
      yield* revoke(yield* rotated(ended))
      assertProblem(yield* rotate(ended, { graceSeconds: 60 }), 409, "refresh-token-reused")
    }))

  it.effect("is 0 to 60 whole seconds", () =>
    Effect.gen(function* () {
      const token = yield* createToken()
      for (const graceSeconds of [-1, 61, 0.5, "1"]) {
        assertInvalid(yield* rotate(token, { graceSeconds }), "graceSeconds")
      }
    }))
})

layer(TestService)("a reuse", (it) => {
  it.effect("tells whose session it is and whether that was live, and may end it", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const phone = yield* createToken({ userId })
      const laptop = yield* createToken({ userId })
      const successor = yield* rotated(laptop)
      const state = { userId, sessionId: laptop["id"] }
      const problem = (answer: { readonly json: JsonObject }) => answer.json

      const reported = yield* rotate(laptop)
      assertProblem(reported, 409, "refresh-token-reused")
      assert.deepInclude(problem(reported), { ...state, sessionIsLive: true })
      assert.strictEqual((yield* read(successor))["isValid"], true)

      const ended = yield* rotate(laptop, { onReuse: "revoke-session" })
      assertProblem(ended, 409, "refresh-token-reused")
      assert.deepInclude(problem(ended), { ...state, sessionIsLive: true })
      assert.deepInclude(yield* read(successor), {
        isValid: false,
        revokedReason: "reuse-detected",
      })
      assert.strictEqual((yield* read(phone))["isValid"], true)

      for (const onReuse of ["revoke-session", "report"]) {
        const again = yield* rotate(laptop, { onReuse })
        assert.deepInclude(problem(again), { ...state, sessionIsLive: false })
      }
      const revoked = yield* rotate(successor)
      assertProblem(revoked, 409, "refresh-token-revoked")
      assert.deepInclude(problem(revoked), { ...state, sessionIsLive: false })
      const taken = yield* rotate(phone, { tokenHash: laptop["tokenHash"] })
      assertProblem(taken, 409, "token-hash-taken")
      assert.deepInclude(problem(taken), { userId, sessionId: phone["id"], sessionIsLive: true })
    }))
})

layer(TestService)("a token's user", (it) => {
  const only = (scope: Parameters<typeof keyWith>[0]): CallOptions => ({ key: keyWith(scope) })

  it.effect("comes with the token where it is asked for", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const token = yield* createToken({ userId: user["id"] })
      const valid = assertJson(yield* get(`${pathOf(token)}/valid?include=user`), 200)
      assert.deepStrictEqual(valid, { ...token, user })
      const next = assertJson(yield* rotate(token, {}, "?include=user"), 201)
      assert.deepStrictEqual(next["user"], user)
      assert.notProperty(yield* rotated(next), "user")
      assertInvalid(yield* get(`${pathOf(token)}/valid?include=everything`), "include")
      assertProblem(
        yield* get(`${pathOf(token)}/valid?include=user`),
        404,
        "refresh-token-not-found",
      )
    }))

  it.effect("needs the scope for users as well", () =>
    Effect.gen(function* () {
      const token = yield* createToken()
      const path = `${pathOf(token)}/valid`
      assertJson(yield* get(path, only("tokens:read")), 200)
      assertProblem(yield* get(`${path}?include=user`, only("tokens:read")), 403, "forbidden")
      assertJson(yield* get(`${path}?include=user`), 200)
      const rotation = [`${pathOf(token)}/rotate?include=user`, aSuccessorBody()] as const
      assertProblem(yield* post(...rotation, only("tokens:write")), 403, "forbidden")
      assertJson(yield* post(...rotation), 201)
    }))
})

layer(TestService)("an account and its sessions", (it) => {
  it.effect("change together: no session begins with credentials that have changed since", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const answer = yield* get(`/v1/users/${userId}/credentials`)
      const { version } = assertJson(answer, 200)
      assert.strictEqual(answer.headers["etag"], `"${version}"`)
      const session = yield* createToken({ userId, userVersion: version })
      const other = yield* createToken({ userId })
      const changed = yield* patch(`/v1/users/${userId}`, {
        passwordHash: "another",
        revokeSessions: { exceptSessionId: session["sessionId"] },
      })
      assertJson(changed, 200)
      assert.strictEqual((yield* read(session))["isValid"], true)
      assert.strictEqual((yield* read(other))["revokedReason"], "credentials-changed")
      assertProblem(
        yield* create(userId, { userVersion: version }),
        412,
        "precondition-failed",
      )
      const now = (yield* credentialsOf(userId))["version"]
      assertJson(yield* create(userId, { userVersion: now }), 201)
      assertProblem(
        yield* patch(`/v1/users/${userId}`, { passwordHash: "rehash" }, {
          headers: { "if-match": `"${version}"` },
        }),
        412,
        "precondition-failed",
      )
    }))

  it.effect("change together or not at all", () =>
    Effect.gen(function* () {
      const taken = yield* createUser()
      const userId = yield* aNewUserId
      const token = yield* createToken({ userId })
      const refused = yield* patch(`/v1/users/${userId}`, {
        email: taken["email"],
        revokeSessions: {},
      })
      assertProblem(refused, 409, "email-taken")
      assert.strictEqual((yield* read(token))["isValid"], true)
      const before = yield* get(`/v1/users/${userId}`)
      const ended = yield* patch(`/v1/users/${userId}`, { revokeSessions: { reason: "admin" } })
      assert.strictEqual(ended.headers["etag"], before.headers["etag"])
      assert.deepStrictEqual(ended.json, before.json)
      assert.strictEqual((yield* read(token))["revokedReason"], "admin")
    }))

  it.effect("end together, by PATCH or by psql, and activation revives nothing", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      for (const byHand of [false, true]) {
        const userId = yield* aNewUserId
        const token = yield* createToken({ userId })
        if (byHand) yield* sql`UPDATE users SET is_active = false WHERE id = ${userId}`
        else assertJson(yield* patch(`/v1/users/${userId}`, { isActive: false }), 200)
        assert.strictEqual((yield* read(token))["revokedReason"], "user-deactivated")
        assertProblem(yield* create(userId), 409, "user-inactive")
        const refused = yield* rotate(token)
        assertProblem(refused, 409, "user-inactive")
        assert.deepInclude(refused.json, {
          userId,
          sessionId: token["id"],
          sessionIsLive: false,
        })
        assertJson(yield* patch(`/v1/users/${userId}`, { isActive: true }), 200)
        assert.deepStrictEqual((yield* liveTokens(userId)).items, [])
      }
    }))

  it.effect("leave no live token of logins beside a deactivation", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const logins = several(20)(Effect.suspend(() => create(userId)))
      yield* Effect.all([logins, patch(`/v1/users/${userId}`, { isActive: false })], {
        concurrency: "unbounded",
      })
      assert.deepStrictEqual((yield* liveTokens(userId)).items, [])
    }))

  it.effect("cannot be told to keep a session of an inactive user", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      assertInvalid(
        yield* patch(`/v1/users/${userId}`, {
          isActive: false,
          revokeSessions: { exceptSessionId: crypto.randomUUID() },
        }),
        "revokeSessions.exceptSessionId",
      )
    }))

  it.effect("keep the verification of an address as long as the address", () =>
    Effect.gen(function* () {
      const email = anEmail()
      const user = yield* createUser({ email, emailVerifiedAt: "2026-01-02T03:04:05Z" })
      assert.strictEqual(user["emailVerifiedAt"], "2026-01-02T03:04:05.000Z")
      const change = (changes: JsonObject) =>
        Effect.map(
          patch(`/v1/users/${user["id"]}`, changes),
          (answer) => assertJson(answer, 200)["emailVerifiedAt"],
        )
      assert.strictEqual(yield* change({ email: email.toUpperCase() }), user["emailVerifiedAt"])
      assert.strictEqual(yield* change({ fullName: "Ada" }), user["emailVerifiedAt"])
      assert.isNull(yield* change({ email: anEmail() }))
      const verified = "2026-02-03T04:05:06.000Z"
      assert.strictEqual(yield* change({ emailVerifiedAt: verified }), verified)
      assert.strictEqual(yield* change({ email: anEmail(), emailVerifiedAt: verified }), verified)
      assert.isNull(yield* change({ emailVerifiedAt: null }))
    }))
})

layer(TestService)("a sign-in with Google", (it) => {
  const signIn = (googleId: string, body: JsonObject) =>
    call("PUT", `/v1/users/by-google-id/${googleId}`, { json: { emailVerified: true, ...body } })

  it.effect("makes one account of twenty at once, and finds it afterwards", () =>
    Effect.gen(function* () {
      const googleId = aGoogleId()
      const email = anEmail()
      const answers = yield* several(20)(Effect.suspend(() => signIn(googleId, { email })))
      assert.lengthOf(answers.filter(({ status }) => status === 201), 1)
      assert.lengthOf(answers.filter(({ status }) => status === 200), 19)
      assert.lengthOf([...new Set(answers.map(({ json }) => json["id"]))], 1)
      const again = yield* signIn(googleId, { email: anEmail(), fullName: "Another" })
      const [{ json } = again] = answers
      assert.deepStrictEqual(assertJson(again, 200), json)
      assert.deepInclude(json, { email, googleId, authProvider: "google", fullName: null })
      assert.isNotNull(json["emailVerifiedAt"])
      assert.match(again.headers["etag"] ?? "", /^"\d+"$/)
    }))

  it.effect("refuses the address of another account unless it is to link", () =>
    Effect.gen(function* () {
      const { email } = yield* createUser()
      const refused = yield* signIn(aGoogleId(), { email })
      assertProblem(refused, 409, "email-taken")
      const unverified = { email, emailVerified: false, onEmailTaken: "link" }
      assertProblem(yield* signIn(aGoogleId(), unverified), 409, "email-taken")
      const other = anEmail()
      assertJson(yield* signIn(aGoogleId(), { email: other }), 201)
      assertProblem(
        yield* signIn(aGoogleId(), { email: other, onEmailTaken: "link" }),
        409,
        "email-taken",
      )
      const inactive = yield* createUser({ isActive: false })
      assertProblem(
        yield* signIn(aGoogleId(), { email: inactive["email"], onEmailTaken: "link" }),
        409,
        "user-inactive",
      )
      const unknown = assertJson(
        yield* signIn(aGoogleId(), { email: anEmail(), emailVerified: false }),
        201,
      )
      assert.isNull(unknown["emailVerifiedAt"])
    }))

  it.effect("links an account whose own address is verified, and ends nothing", () =>
    Effect.gen(function* () {
      const user = yield* createUser({ emailVerifiedAt: "2026-01-01T00:00:00Z" })
      const token = yield* createToken({ userId: user["id"] })
      const googleId = aGoogleId()
      const linked = assertJson(
        yield* signIn(googleId, { email: user["email"], onEmailTaken: "link" }),
        200,
      )
      assert.deepInclude(linked, { id: user["id"], googleId, authProvider: "email" })
      assert.strictEqual((yield* read(token))["isValid"], true)
    }))

  it.effect("takes over an account whose address was never verified, which no stranger survives", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const userId = stringAt(user, "id")
      const token = yield* createToken({ userId })
      const googleId = aGoogleId()
      const taken = yield* several(5)(
        Effect.suspend(() => signIn(googleId, { email: user["email"], onEmailTaken: "link" })),
      )
      for (const answer of taken) {
        assert.deepInclude(assertJson(answer, 200), {
          id: userId,
          googleId,
          authProvider: "google",
        })
        assert.isNotNull(answer.json["emailVerifiedAt"])
      }
      assert.isNull((yield* credentialsOf(userId))["passwordHash"])
      assert.deepInclude(yield* read(token), {
        isValid: false,
        revokedReason: "credentials-changed",
      })
    }))

  it.effect("tells which clash it is", () =>
    Effect.gen(function* () {
      const googleId = aGoogleId()
      const email = anEmail()
      assertJson(yield* signIn(googleId, { email }), 201)
      const google = { authProvider: "google", fullName: null }
      const both = yield* post("/v1/users", { ...google, email, googleId })
      assertProblem(both, 409, "google-id-taken")
      const address = yield* post("/v1/users", { ...google, email, googleId: aGoogleId() })
      assertProblem(address, 409, "email-taken")
      const other = yield* createUser()
      const two = yield* post("/v1/users", { ...google, email: other["email"], googleId })
      assertProblem(two, 409, "email-taken")
    }))

  it.effect("wants an address and whether it is verified", () =>
    Effect.gen(function* () {
      const path = `/v1/users/by-google-id/${aGoogleId()}`
      assertInvalid(yield* call("PUT", path, { json: { email: anEmail() } }), "emailVerified")
      assertInvalid(yield* signIn(aGoogleId(), { email: "nobody" }), "email")
      assertInvalid(
        yield* signIn(aGoogleId(), { email: anEmail(), onEmailTaken: "x" }),
        "onEmailTaken",
      )
    }))
})
