import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { assertInvalid, assertJson, assertProblem } from "../support/answers.ts"
import { createGoogleUser, createUser } from "../support/bodies.ts"
import { call, get, patch } from "../support/calls.ts"
import { aGoogleId } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

layer(TestService)("PATCH /v1/users/{id}", (it) => {
  const credentialsOf = (id: unknown) =>
    Effect.map(get(`/v1/users/${id}/credentials`), (answer) => assertJson(answer, 200))

  it.effect("changes what is given and leaves the rest as it is", () =>
    Effect.gen(function* () {
      const { updatedAt, ...user } = yield* createUser({ fullName: "Ada", googleId: aGoogleId() })
      const { version, ...before } = yield* credentialsOf(user["id"])

      const answer = yield* patch(`/v1/users/${user["id"]}`, { isActive: false })

      const { updatedAt: changedAt, ...changed } = assertJson(answer, 200)
      assert.deepStrictEqual(changed, { ...user, isActive: false })
      assert.isAtLeast(Date.parse(String(changedAt)), Date.parse(String(updatedAt)))
      const { version: changedVersion, ...after } = yield* credentialsOf(user["id"])
      assert.deepStrictEqual(after, { ...before, isActive: false })
      assert.notStrictEqual(changedVersion, version)
      assert.strictEqual(
        answer.headers["etag"],
        (yield* get(`/v1/users/${user["id"]}`)).headers["etag"],
      )
    }))

  it.effect("clears with null what may be null", () =>
    Effect.gen(function* () {
      const { id } = yield* createUser({ fullName: "Ada", googleId: aGoogleId() })
      const changed = assertJson(
        yield* patch(`/v1/users/${id}`, { fullName: null, googleId: null }),
        200,
      )
      assert.deepInclude(changed, { fullName: null, googleId: null })
    }))

  it.effect("refuses null for what must not be null", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      for (const name of ["email", "authProvider", "isActive"]) {
        assertInvalid(yield* patch(`/v1/users/${user["id"]}`, { [name]: null }), name)
      }
      assert.deepStrictEqual((yield* get(`/v1/users/${user["id"]}`)).json, user)
    }))

  it.effect("takes a user's own e-mail address and Google id again", () =>
    Effect.gen(function* () {
      const { id, email, googleId } = yield* createGoogleUser()
      const capitals = String(email).toUpperCase()
      assert.strictEqual(
        assertJson(yield* patch(`/v1/users/${id}`, { email: capitals }), 200)["email"],
        capitals,
      )
      for (let times = 0; times < 2; times++) {
        assertJson(yield* patch(`/v1/users/${id}`, { googleId, email: capitals }), 200)
      }
    }))

  it.effect("changes nothing for an empty object, updatedAt and version included", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const before = yield* get(`/v1/users/${user["id"]}`)
      for (
        const answer of [
          yield* patch(`/v1/users/${user["id"]}`, {}),
          yield* call("PATCH", `/v1/users/${user["id"]}`),
          yield* patch(`/v1/users/${user["id"]}`, { email: user["email"], fullName: null }),
        ]
      ) {
        assert.deepStrictEqual(assertJson(answer, 200), user)
        assert.strictEqual(answer.headers["etag"], before.headers["etag"])
      }
    }))

  it.effect("switches the provider in steps and in one request", () =>
    Effect.gen(function* () {
      const inSteps = yield* createUser()
      const path = `/v1/users/${inSteps["id"]}`
      assertProblem(yield* patch(path, { authProvider: "google" }), 422, "credentials-missing")
      assertJson(yield* patch(path, { googleId: aGoogleId() }), 200)
      assertJson(yield* patch(path, { authProvider: "google" }), 200)
      assertJson(yield* patch(path, { passwordHash: null }), 200)

      const atOnce = yield* createUser()
      const googleId = aGoogleId()
      const changes = { passwordHash: null, authProvider: "google", googleId }
      const switched = assertJson(yield* patch(`/v1/users/${atOnce["id"]}`, changes), 200)
      assert.deepInclude(switched, { authProvider: "google", googleId })
      assert.isNull((yield* credentialsOf(atOnce["id"]))["passwordHash"])
    }))

  it.effect("judges the credentials on the whole result", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const path = `/v1/users/${user["id"]}`
      const refused = yield* patch(path, { passwordHash: null, fullName: "New" })
      assertProblem(refused, 422, "credentials-missing")
      assert.deepStrictEqual((yield* get(path)).json, user)
    }))

  it.effect("refuses what others have, and then changes nothing at all", () =>
    Effect.gen(function* () {
      const other = yield* createGoogleUser()
      const user = yield* createGoogleUser()
      const path = `/v1/users/${user["id"]}`
      const before = yield* get(path)
      const { email, googleId } = other
      const capitals = String(email).toUpperCase()
      assertProblem(yield* patch(path, { email: capitals, fullName: "New" }), 409, "email-taken")
      assertProblem(yield* patch(path, { googleId, fullName: "New" }), 409, "google-id-taken")
      assertProblem(yield* patch(path, { email, googleId }), 409, "google-id-taken")
      const { email: third } = yield* createUser()
      assertProblem(yield* patch(path, { email: third, googleId }), 409, "email-taken")
      const after = yield* get(path)
      assert.deepStrictEqual(after.json, user)
      assert.strictEqual(after.headers["etag"], before.headers["etag"])
    }))

  it.effect("does not find a user who is not there", () =>
    Effect.gen(function* () {
      const path = `/v1/users/${crypto.randomUUID()}`
      assertProblem(yield* patch(path, {}), 404, "user-not-found")
      assertProblem(yield* patch(path, { isActive: false }), 404, "user-not-found")
      assertInvalid(yield* patch("/v1/users/me", {}), "id")
    }))

  it.effect("names every property that is wrong or unknown, and changes nothing", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const path = `/v1/users/${user["id"]}`
      assertInvalid(
        yield* patch(path, {
          email: 1,
          fullName: "",
          passwordHash: {},
          googleId: "x".repeat(256),
          authProvider: "Email",
          isActive: 0,
          emailVerifiedAt: true,
          revokeSessions: { reason: "rotated", exceptSessionId: "1" },
        }),
        "email",
        "fullName",
        "passwordHash",
        "googleId",
        "authProvider",
        "isActive",
        "emailVerifiedAt",
        "revokeSessions.reason",
        "revokeSessions.exceptSessionId",
      )
      for (const name of ["id", "createdAt", "updatedAt", "version"]) {
        assertInvalid(yield* patch(path, { fullName: "New", [name]: user[name] ?? null }), name)
      }
      assert.deepStrictEqual((yield* get(path)).json, user)
    }))
})

layer(TestService)("DELETE /v1/users/{id}", (it) => {
  it.effect("deletes a user, once", () =>
    Effect.gen(function* () {
      const { id } = yield* createUser()
      const answer = yield* call("DELETE", `/v1/users/${id}`)
      assert.strictEqual(answer.status, 204)
      assert.strictEqual(answer.text, "")
      assertProblem(yield* get(`/v1/users/${id}`), 404, "user-not-found")
      assertProblem(yield* call("DELETE", `/v1/users/${id}`), 404, "user-not-found")
      assertInvalid(yield* call("DELETE", "/v1/users/me"), "id")
    }))

  it.effect("frees the e-mail address and the Google id", () =>
    Effect.gen(function* () {
      const { id, email, googleId } = yield* createGoogleUser()
      yield* call("DELETE", `/v1/users/${id}`)
      yield* createGoogleUser({ email, googleId })
    }))
})
