import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { assertInvalid, assertJson, assertProblem, stringAt } from "../support/answers.ts"
import { aGoogleUserBody, aUserBody, createGoogleUser, createUser } from "../support/bodies.ts"
import { get, post } from "../support/calls.ts"
import { aGoogleId, anEmail } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

const userKeys = [
  "id",
  "email",
  "fullName",
  "authProvider",
  "googleId",
  "isActive",
  "emailVerifiedAt",
  "createdAt",
  "updatedAt",
]

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const utcTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

layer(TestService)("POST /v1/users", (it) => {
  it.effect("creates a user who signs in with a password, and tells where it is", () =>
    Effect.gen(function* () {
      const body = aUserBody()
      const answer = yield* post("/v1/users", body)

      const user = assertJson(answer, 201)
      assert.deepStrictEqual(Object.keys(user).sort(), [...userKeys].sort())
      assert.match(stringAt(user, "id"), uuid)
      assert.match(stringAt(user, "createdAt"), utcTime)
      assert.strictEqual(user["updatedAt"], user["createdAt"])
      assert.deepInclude(user, {
        email: body["email"],
        fullName: null,
        authProvider: "email",
        googleId: null,
        isActive: true,
        emailVerifiedAt: null,
      })
      assert.strictEqual(answer.headers["location"], `/v1/users/${user["id"]}`)
      const found = yield* get(String(answer.headers["location"]))
      assert.deepStrictEqual(assertJson(found, 200), user)
      assert.strictEqual(answer.headers["etag"], found.headers["etag"])
    }))

  it.effect("creates a user who signs in with Google, with everything that can be given", () =>
    Effect.gen(function* () {
      const body = aGoogleUserBody({
        fullName: "Ada Lovelace",
        isActive: false,
        emailVerifiedAt: "2026-01-31T12:00:00.000Z",
      })
      const user = assertJson(yield* post("/v1/users", body), 201)
      assert.deepInclude(user, body)
    }))

  it.effect("takes U+FFFD, which is what decoders make of bytes that are no text", () =>
    Effect.gen(function* () {
      const body = aGoogleUserBody({ fullName: "Ada \uFFFD Lovelace" })
      assert.deepInclude(assertJson(yield* post("/v1/users", body), 201), body)
    }))

  it.effect("takes null for what may be absent", () =>
    Effect.gen(function* () {
      const body = aGoogleUserBody({ fullName: null, passwordHash: null })
      const user = assertJson(yield* post("/v1/users", body), 201)
      assert.isNull(user["fullName"])
    }))

  it.effect("refuses a taken e-mail address in whatever case", () =>
    Effect.gen(function* () {
      const user = yield* createUser()
      const email = stringAt(user, "email").toUpperCase()
      assertProblem(yield* post("/v1/users", aUserBody({ email })), 409, "email-taken")
    }))

  it.effect("refuses a taken Google id, but not one that differs by case", () =>
    Effect.gen(function* () {
      const { googleId } = yield* createGoogleUser()
      const taken = yield* post("/v1/users", aGoogleUserBody({ googleId }))
      assertProblem(taken, 409, "google-id-taken")
      yield* createGoogleUser({ googleId: String(googleId).toUpperCase() })
    }))

  it.effect("names the Google id when one account has both that and the e-mail address", () =>
    Effect.gen(function* () {
      const { email } = yield* createUser()
      const { email: own, googleId } = yield* createGoogleUser()
      const byTwo = yield* post("/v1/users", aGoogleUserBody({ email, googleId }))
      assertProblem(byTwo, 409, "email-taken")
      const byOne = yield* post("/v1/users", aGoogleUserBody({ email: own, googleId }))
      assertProblem(byOne, 409, "google-id-taken")
    }))

  it.effect("wants the credentials of the provider", () =>
    Effect.gen(function* () {
      for (
        const body of [
          { email: anEmail(), authProvider: "email" },
          { email: anEmail(), authProvider: "email", googleId: aGoogleId() },
          { email: anEmail(), authProvider: "google" },
          { email: anEmail(), authProvider: "google", passwordHash: "hash" },
        ]
      ) {
        assertProblem(yield* post("/v1/users", body), 422, "credentials-missing")
        assertProblem(yield* get(`/v1/users/by-email/${body.email}`), 404, "user-not-found")
      }
    }))

  it.effect("names every property that is wrong", () =>
    Effect.gen(function* () {
      assertInvalid(
        yield* post("/v1/users", {
          email: "no address",
          authProvider: "github",
          passwordHash: "",
          googleId: 5,
          fullName: [],
          isActive: "true",
        }),
        "email",
        "authProvider",
        "passwordHash",
        "googleId",
        "fullName",
        "isActive",
      )
      assertInvalid(yield* post("/v1/users", {}), "email", "authProvider")
    }))

  it.effect("refuses properties that it does not know", () =>
    Effect.gen(function* () {
      for (const name of ["id", "createdAt", "version", "full_name", "admin"]) {
        assertInvalid(yield* post("/v1/users", aUserBody({ [name]: null })), name)
      }
    }))

  it.effect("takes values of the longest length, in characters, and none beyond", () =>
    Effect.gen(function* () {
      for (
        const [name, maximum] of [["fullName", 200], ["passwordHash", 1024], [
          "googleId",
          255,
        ]] as const
      ) {
        for (const character of ["x", "é", "😀"]) {
          const value = `${aGoogleId()}${character.repeat(maximum)}`
          const cut = Array.from(value).slice(0, maximum).join("")
          yield* createUser({ [name]: cut })
          assertInvalid(
            yield* post("/v1/users", aUserBody({ [name]: `${cut}${character}` })),
            name,
          )
        }
      }
    }))

  it.effect("takes an e-mail address of 254 characters, and none of 255", () =>
    Effect.gen(function* () {
      const domain = `@${"d".repeat(60)}.example.com`
      const local = anEmail().replace("@", ".").padEnd(254 - domain.length, "x")
      const user = yield* createUser({ email: `${local}${domain}` })
      assert.lengthOf(stringAt(user, "email"), 254)
      const answer = yield* post("/v1/users", aUserBody({ email: `x${local}${domain}` }))
      assertInvalid(answer, "email")
    }))

  it.effect("refuses e-mail addresses that an HTML e-mail field refuses, and trims none", () =>
    Effect.gen(function* () {
      for (
        const email of [
          "",
          "ada",
          "@example.com",
          "ada@",
          "ada@@example.com",
          " ada@example.com",
          "ada@example.com ",
          "ada@example.com\n",
          "ada\t@example.com",
          "a da@example.com",
          '"a da"@example.com',
          "ada@-example.com",
          "ada@example-.com",
          "ada@example..com",
          "ada@example.com.",
          "ada@[192.0.2.1]",
          "ada@ex_ample.com",
          "ädä@example.com",
          "ada@exämple.com",
          "ada@example。com",
          "ada\u200b@example.com",
          "\u212a@example.com",
          "ada@example.com\u0000",
          `ada@${"d".repeat(64)}.com`,
        ]
      ) {
        assertInvalid(yield* post("/v1/users", aUserBody({ email })), "email")
      }
    }))
})

layer(TestService)("reading users", (it) => {
  it.effect("finds a user by id, e-mail address and Google id, with its version", () =>
    Effect.gen(function* () {
      const user = yield* createGoogleUser()
      for (
        const path of [
          `/v1/users/${user["id"]}`,
          `/v1/users/${stringAt(user, "id").toUpperCase()}`,
          `/v1/users/by-email/${user["email"]}`,
          `/v1/users/by-email/${stringAt(user, "email").toUpperCase()}`,
          `/v1/users/by-google-id/${user["googleId"]}`,
        ]
      ) {
        const answer = yield* get(path)
        assert.deepStrictEqual(assertJson(answer, 200), user)
        assert.match(String(answer.headers["etag"]), /^"[^"]+"$/)
      }
    }))

  it.effect("gives credentials, the password hash included, by id and by e-mail address", () =>
    Effect.gen(function* () {
      const user = yield* createUser({ passwordHash: "the hash" })
      const credentials = {
        userId: user["id"],
        email: user["email"],
        authProvider: "email",
        passwordHash: "the hash",
        googleId: null,
        isActive: true,
      }
      const etag = (yield* get(`/v1/users/${user["id"]}`)).headers["etag"]
      for (const path of [`/v1/users/${user["id"]}`, `/v1/users/by-email/${user["email"]}`]) {
        const answer = yield* get(`${path}/credentials`)
        const { version, ...rest } = assertJson(answer, 200)
        assert.deepStrictEqual(rest, credentials)
        assert.strictEqual(answer.headers["etag"], etag)
        assert.strictEqual(`"${version}"`, etag)
      }
    }))

  it.effect("gives null for a password hash that is absent", () =>
    Effect.gen(function* () {
      const user = yield* createGoogleUser()
      const credentials = assertJson(yield* get(`/v1/users/${user["id"]}/credentials`), 200)
      assert.isNull(credentials["passwordHash"])
      assert.strictEqual(credentials["googleId"], user["googleId"])
    }))

  it.effect("does not find what is not there", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      for (
        const path of [
          `/v1/users/${id}`,
          `/v1/users/by-email/${anEmail()}`,
          `/v1/users/by-google-id/${aGoogleId()}`,
          `/v1/users/${id}/credentials`,
          `/v1/users/by-email/${anEmail()}/credentials`,
        ]
      ) {
        assertProblem(yield* get(path), 404, "user-not-found")
      }
    }))

  it.effect("refuses ids and e-mail addresses that can be nobody's", () =>
    Effect.gen(function* () {
      for (const id of ["1", "me", `${crypto.randomUUID()}0`, crypto.randomUUID().slice(1)]) {
        assertInvalid(yield* get(`/v1/users/${id}`), "id")
        assertInvalid(yield* get(`/v1/users/${id}/credentials`), "id")
      }
      for (const email of ["ada", "a%20b@example.com", "%C3%A4@example.com", "x".repeat(300)]) {
        assertInvalid(yield* get(`/v1/users/by-email/${email}`), "email")
        assertInvalid(yield* get(`/v1/users/by-email/${email}/credentials`), "email")
      }
      assertInvalid(yield* get(`/v1/users/by-google-id/${"x".repeat(256)}`), "googleId")
    }))
})
