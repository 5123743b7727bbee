import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { assertInvalid, assertJson, assertPage, assertProblem } from "../support/answers.ts"
import { createAttempt, createGoogleUser, createToken, createUser } from "../support/bodies.ts"
import { call, get, post } from "../support/calls.ts"
import { keyedRoutes, targetOf } from "../support/contractRoutes.ts"
import { anEmail, aTokenHash } from "../support/factories.ts"
import { exchange, rawRequest } from "../support/RawSocket.ts"
import { TestService } from "../support/TestService.ts"

/** Each octet percent-encoded, which is the same path or query (RFC 3986, 2.3 aside). */
const fullyEncoded = (text: string) =>
  Array.from(
    new TextEncoder().encode(text),
    (octet) => `%${octet.toString(16).padStart(2, "0")}`,
  ).join("")

const localParts = [
  "a+b",
  "a%2Bb",
  "a%2bb",
  "a/b",
  "a%2Fb",
  "o'b",
  "50%",
  "%",
  "what?",
  "n#1",
  "a&b=c",
  "a=b",
  ".",
  "..",
  "%2e%2e",
  "%20",
  "%00",
  "{x}",
  "$*!^`|~",
]

const googleIds = [
  "a/b",
  "/",
  "//",
  "a+b",
  "a%2Bb",
  "a b",
  " ",
  "Mixed",
  "mixed",
  ".",
  "..",
  "a;b",
  "a:b@c",
  "a?b#c",
  "\\",
  "<\"'>",
  "é",
  "e\u0301",
  "漢字",
  "😀",
  "a\nb\tc",
  "credentials",
]

layer(TestService)("paths and queries", (it) => {
  it.effect("find a token under its base64 hash only where the slashes are percent-encoded", () =>
    Effect.gen(function* () {
      const tokenHash = `${aTokenHash()}/a+b=`
      yield* createToken({ tokenHash })
      const path = "/v1/refresh-tokens"
      assertProblem(yield* get(`${path}/${tokenHash}`), 404, "not-found")
      assertJson(yield* get(`${path}/${tokenHash.replace("/", "%2F")}`), 200)
      assertJson(yield* get(`${path}/${encodeURIComponent(tokenHash)}`), 200)
      // Hexadecimal digits and base64url are the same either way.
      for (const safe of ["0123456789abcdef", "-_Az09"].map((end) => aTokenHash() + end)) {
        yield* createToken({ tokenHash: safe })
        assert.strictEqual(encodeURIComponent(safe), safe)
        assertJson(yield* get(`${path}/${safe}`), 200)
      }
    }))

  it.effect("find a user under exactly the percent-encoded e-mail address", () =>
    Effect.gen(function* () {
      const domain = `@${anEmail().split("@")[0]}.example.com`
      const users = new Map<string, unknown>()
      for (const localPart of localParts) {
        const email = `${localPart}${domain}`
        const caseless = email.toLowerCase()
        if (!users.has(caseless)) users.set(caseless, (yield* createUser({ email }))["id"])
      }
      for (const localPart of localParts) {
        const email = `${localPart}${domain}`
        const id = users.get(email.toLowerCase())
        for (const encoded of [encodeURIComponent(email), fullyEncoded(email)]) {
          const path = `/v1/users/by-email/${encoded}`
          assert.strictEqual(assertJson(yield* get(path), 200)["id"], id, path)
          const credentials = assertJson(yield* get(`${path}/credentials`), 200)
          assert.strictEqual(credentials["userId"], id)
        }
      }
    }))

  it.effect("take a bare plus sign in a path for a plus sign", () =>
    Effect.gen(function* () {
      const user = yield* createUser({ email: `a+b.${anEmail()}` })
      assert.deepStrictEqual((yield* get(`/v1/users/by-email/${user["email"]}`)).json, user)
      const google = yield* createGoogleUser({ googleId: `a+b ${anEmail()}` })
      const bare = encodeURIComponent(String(google["googleId"])).replaceAll("%2B", "+")
      assert.deepStrictEqual((yield* get(`/v1/users/by-google-id/${bare}`)).json, google)
    }))

  it.effect("find a user under exactly the percent-encoded Google id", () =>
    Effect.gen(function* () {
      const users = new Map<string, unknown>()
      for (const googleId of googleIds) {
        users.set(googleId, (yield* createGoogleUser({ googleId }))["id"])
      }
      for (const googleId of googleIds) {
        const encoded = googleId === "." || googleId === ".."
          ? fullyEncoded(googleId)
          : encodeURIComponent(googleId)
        for (const path of [encoded, fullyEncoded(googleId)]) {
          const [answer] = yield* exchange(rawRequest(`GET /v1/users/by-google-id/${path}`))
          assert.strictEqual(answer?.json["id"], users.get(googleId), `${googleId}: ${path}`)
        }
      }
    }))

  it.effect("find a token under exactly the percent-encoded hash, and its location too", () =>
    Effect.gen(function* () {
      for (const name of ["a/b+c==", "a%2Fb", "a b", "?#;", "..", "é😀"]) {
        const tokenHash = `${name}${aTokenHash()}`
        const created = yield* createToken({ tokenHash })
        const path = `/v1/refresh-tokens/${encodeURIComponent(tokenHash)}`
        assert.deepStrictEqual(assertJson(yield* get(path), 200), created)
        assert.deepStrictEqual(assertJson(yield* get(`${path}/valid`), 200), created)
        const successor = {
          tokenHash: `${name}${aTokenHash()}`,
          expiresAt: "2099-01-01T00:00:00.000Z",
        }
        const rotated = yield* post(`${path}/rotate`, successor)
        assertJson(rotated, 201)
        const found = yield* get(String(rotated.headers["location"]))
        assert.strictEqual(found.json["tokenHash"], successor.tokenHash)
        assertJson(yield* post(`${rotated.headers["location"]}/revoke`, {}), 200)
      }
    }))

  it.effect("never count 0 because of how an e-mail address is encoded in the query", () =>
    Effect.gen(function* () {
      const counter = (email: string) =>
        Effect.map(
          get(`/v1/login-attempts/recent-failures?email=${email}`),
          (answer) => assertJson(answer, 200)["count"],
        )
      for (const localPart of localParts) {
        const email = `${localPart}.${anEmail()}`.replace(/^\.+/, "dot.")
        yield* createAttempt({ email })
        assert.strictEqual(yield* counter(encodeURIComponent(email)), 1, email)
        assert.strictEqual(yield* counter(fullyEncoded(email)), 1, email)
        if (!/[%&#]/.test(email)) assert.strictEqual(yield* counter(email), 1, email)
      }
    }))

  it.effect("take percent-encoded names of parameters and empty parts of a query", () =>
    Effect.gen(function* () {
      assert.lengthOf(assertPage(yield* get("/v1/users?%6Cimit=1")).items.slice(1), 0)
      assertJson(yield* get("/v1/users?"), 200)
      assertJson(yield* get("/v1/users?&limit=1&"), 200)
    }))

  it.effect("refuse parameters that are unknown, repeated or misspelt", () =>
    Effect.gen(function* () {
      assertInvalid(yield* get("/v1/users?Limit=1"), "Limit")
      assertInvalid(yield* get("/v1/users?page=1"), "page")
      assertInvalid(yield* get("/v1/users?limit=1&limit=1"), "limit")
      assertInvalid(yield* get("/v1/users?limit[]=1"), "?")
      const email = anEmail()
      const repeated = `email=${email}&email=${email}`
      assertInvalid(yield* get(`/v1/login-attempts/recent-failures?${repeated}`), "email")
    }))

  for (const route of keyedRoutes) {
    it.effect(`refuse a parameter that ${route.method} ${route.path} does not know`, () =>
      Effect.gen(function* () {
        const target = targetOf(route)
        const options = { json: route.body }
        const refused = yield* call(route.method, `${target}?extra=1`, options)
        assertInvalid(refused, "extra")
        const elsewhere = yield* get("/v1/users?extra=1")
        assert.deepStrictEqual(refused.json["errors"], elsewhere.json["errors"])
        const several = `${target}?extra=1&Minutes&extra=2&__proto__=3`
        assertInvalid(yield* call(route.method, several, options), "Minutes", "__proto__", "extra")
      }))
  }

  it.effect("answer 401 and 404 before parameters are looked at", () =>
    Effect.gen(function* () {
      assertProblem(yield* get("/v1/users/me?extra=1", { key: null }), 401, "unauthorized")
      assertProblem(yield* get("/v1/nowhere?extra=1"), 404, "not-found")
    }))

  it.effect("are compared as they are: no other case, no slash too many", () =>
    Effect.gen(function* () {
      for (
        const path of [
          "/V1/users",
          "//v1/users",
          "/v1//users",
          "/v1/users;x=1",
          "/v1",
        ]
      ) {
        assertProblem(yield* get(path), 404, "not-found")
      }
      assertInvalid(yield* get("/v1/users/"), "id")
    }))

  it.effect("are refused when they are no UTF-8 in percent-encoding", () =>
    Effect.gen(function* () {
      for (const broken of ["%", "%2", "%zz", "%ff", "%C3", "%C3%28", "%ed%a0%80", "%c0%af"]) {
        for (
          const target of [
            `/v1/users/by-google-id/${broken}`,
            `/v1/users/by-email/${broken}@example.com`,
            `/v1/refresh-tokens/${broken}`,
            `/v1/login-attempts/recent-failures?email=${broken}`,
            `/v1/users?${broken}=1`,
            `/${broken}`,
          ]
        ) {
          assertProblem(yield* get(target), 400, "invalid-request")
        }
      }
    }))
})
