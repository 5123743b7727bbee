import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { assertInvalid, assertJson, assertProblem } from "../support/answers.ts"
import { aNewUserId, aUserBody, createToken } from "../support/bodies.ts"
import { call, get } from "../support/calls.ts"
import { contractRoutes, keyedRoutes, targetOf } from "../support/contractRoutes.ts"
import { anEmail } from "../support/factories.ts"
import { exchange, rawRequest } from "../support/RawSocket.ts"
import { TestService } from "../support/TestService.ts"

const methodsOf = (path: string) => [
  ...new Set(
    contractRoutes.filter((route) => route.path === path).flatMap(({ method }) =>
      method === "GET" ? ["GET", "HEAD"] : [method]
    ),
  ),
]

const withBody = keyedRoutes.filter(({ body }) => body !== undefined)

layer(TestService)("paths and methods", (it) => {
  it.effect("that are unknown are problems, with and without a key", () =>
    Effect.gen(function* () {
      for (const path of ["/", "/v1", "/v2/users", "/v1/users/a/b", "/favicon.ico", "/metrics/x"]) {
        for (const method of ["GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]) {
          assertProblem(yield* call(method, path), 404, "not-found")
          assertProblem(yield* call(method, path, { key: null }), 404, "not-found")
        }
        assert.strictEqual((yield* call("HEAD", path)).status, 404)
      }
    }))

  for (const path of [...new Set(contractRoutes.map(({ path }) => path))]) {
    const allowed = methodsOf(path)
    it.effect(`of ${path} are ${allowed.join(", ")}, and the others are told so`, () =>
      Effect.gen(function* () {
        const target = targetOf({ method: "GET", path, success: 200, errors: [] })
        for (
          const method of ["GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
        ) {
          const answer = yield* call(method, target)
          if (allowed.includes(method)) {
            assert.notStrictEqual(answer.status, 405)
          } else {
            assertProblem(answer, 405, "method-not-allowed")
            const allow = String(answer.headers["allow"]).split(/, */)
            assert.includeMembers(allow, allowed)
          }
        }
      }))
  }

  it.effect("answer HEAD as GET, with the headers and without the body", () =>
    Effect.gen(function* () {
      const { userId, tokenHash } = yield* createToken()
      const { email } = (yield* get(`/v1/users/${userId}`)).json
      for (
        const target of [
          `/v1/users/${userId}`,
          `/v1/users/by-email/${email}`,
          `/v1/users/${userId}/credentials`,
          `/v1/users/${userId}/refresh-tokens`,
          `/v1/users/${userId}/sessions`,
          `/v1/users/${userId}/login-attempts/recent-failures`,
          `/v1/refresh-tokens/${tokenHash}`,
          `/v1/refresh-tokens/${tokenHash}/valid`,
          `/v1/refresh-tokens/${tokenHash}/valid?include=user`,
          `/v1/login-attempts/recent-failures?email=${email}`,
          "/livez",
          "/readyz",
          "/openapi.json",
          "/docs",
          `/v1/users/${crypto.randomUUID()}`,
          "/v1/users/me",
          "/v1/users?limit=0",
          "/nowhere",
        ]
      ) {
        const answer = yield* get(target)
        const head = yield* call("HEAD", target)
        assert.strictEqual(head.status, answer.status, target)
        assert.strictEqual(head.text, "")
        for (const name of ["content-type", "etag"]) {
          assert.strictEqual(head.headers[name], answer.headers[name], `${name} of ${target}`)
        }
      }
    }))

  it.effect("of the asterisk form and of CONNECT are refused without a word too many", () =>
    Effect.gen(function* () {
      const [asterisk] = yield* exchange(rawRequest("OPTIONS *"))
      assert.isDefined(asterisk)
      if (asterisk !== undefined) assertProblem(asterisk, 404, "not-found")
      const connected = yield* exchange(rawRequest("CONNECT localhost:443"))
      for (const answer of connected) assert.isAtLeast(answer.status, 400)
    }))
})

layer(TestService)("bodies", (it) => {
  const types = [
    "application/json",
    "Application/JSON; charset=utf-8",
    "application/json;charset=UTF-8",
  ]

  it.effect("are JSON in whatever case and with whatever charset=utf-8", () =>
    Effect.gen(function* () {
      for (
        const type of [...types, 'APPLICATION/JSON ; charset="utf-8"', "application/json; v=1"]
      ) {
        const body = JSON.stringify(aUserBody())
        assertJson(
          yield* call("POST", "/v1/users", { body, headers: { "content-type": type } }),
          201,
        )
      }
    }))

  it.effect("of no type are read as JSON", () =>
    Effect.gen(function* () {
      const body = JSON.stringify(aUserBody())
      const length = `Content-Length: ${body.length}`
      const [answer] = yield* exchange(rawRequest("POST /v1/users", [length], body))
      assert.strictEqual(answer?.status, 201)
    }))

  it.effect("of another type are refused", () =>
    Effect.gen(function* () {
      for (
        const type of [
          "text/plain",
          "application/x-www-form-urlencoded",
          "multipart/form-data; boundary=x",
          "application/xml",
          "application/jsonp",
          "text/json",
          "nonsense",
          "application/json, text/plain",
          "",
        ]
      ) {
        for (const route of withBody) {
          const answer = yield* call(route.method, targetOf(route), {
            body: JSON.stringify(route.body),
            headers: { "content-type": type },
          })
          assertProblem(answer, 415, "unsupported-media-type")
        }
      }
    }))

  it.effect("that are not JSON, or no object, are refused as bodies", () =>
    Effect.gen(function* () {
      for (
        const body of [
          "{",
          "nonsense",
          "{'email':1}",
          '{"email":"a@example.com",}',
          "{}{}",
          "\u0000",
          "\ufeff\ufeff{}",
          " ",
          "null",
          "true",
          "1",
          '"text"',
          "[]",
          "[{}]",
          "NaN",
          "-",
          "1e999",
        ]
      ) {
        for (const route of withBody) {
          const answer = yield* call(route.method, targetOf(route), {
            body,
            headers: { "content-type": "application/json" },
          })
          assertInvalid(answer, "body")
        }
      }
    }))

  it.effect("that are no object are refused in the same words, with a length and in chunks", () =>
    Effect.gen(function* () {
      const type = "Content-Type: application/json"
      for (const route of withBody) {
        const request = `${route.method} ${targetOf(route)}`
        for (const body of ["null", "[]", '"text"']) {
          const [announced] = yield* exchange(
            rawRequest(request, [type, `Content-Length: ${body.length}`], body),
          )
          // A body of unknown length is left to the router.
          const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
          const [chunked] = yield* exchange(
            rawRequest(request, [type, "Transfer-Encoding: chunked"], chunk),
          )
          assert(announced !== undefined && chunked !== undefined)
          assertInvalid(announced, "body")
          assert.strictEqual(announced.text, chunked.text, request)
        }
      }
    }))

  it.effect("that are not UTF-8 are refused as bodies", () =>
    Effect.gen(function* () {
      const text = (octets: ReadonlyArray<number>) =>
        Buffer.concat([
          Buffer.from('{"email":"'),
          Buffer.from(octets),
          Buffer.from('@example.com","authProvider":"google","googleId":"1"}'),
        ])
      for (
        const octets of [
          [0xff],
          [0xc3],
          [0xc3, 0x28],
          [0xed, 0xa0, 0x80],
          [0xc0, 0xaf],
          [0xf4, 0x90, 0x80, 0x80],
          // After U+FFFD, which a lenient decoder would make of it.
          [0xef, 0xbf, 0xbd, 0xff],
        ]
      ) {
        const answer = yield* call("POST", "/v1/users", {
          body: text(octets),
          headers: { "content-type": "application/json" },
        })
        assertInvalid(answer, "body")
      }
      const utf16 = Buffer.from(JSON.stringify(aUserBody()), "utf16le")
      const answer = yield* call("POST", "/v1/users", {
        body: utf16,
        headers: { "content-type": "application/json" },
      })
      assertInvalid(answer, "body")
    }))

  it.effect("of no bytes are {} where every property is optional, however they are sent", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { tokenHash, sessionId } = yield* createToken({ userId })
      const requests = [
        `POST /v1/refresh-tokens/${tokenHash}/revoke`,
        `POST /v1/users/${userId}/refresh-tokens/revoke`,
        `POST /v1/users/${userId}/sessions/${sessionId}/revoke`,
        "POST /v1/maintenance/delete-expired-tokens",
        "POST /v1/maintenance/delete-old-login-attempts",
        `PATCH /v1/users/${userId}`,
      ]
      const ways: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [[], ""],
        [["Content-Length: 0"], ""],
        [["Transfer-Encoding: chunked"], "0\r\n\r\n"],
      ]
      const typeLines = [
        [],
        ...[...types, "text/plain", "application/x-www-form-urlencoded", "nonsense"]
          .map((type) => [`Content-Type: ${type}`]),
      ]
      for (const request of requests) {
        for (const [headers, body] of ways) {
          for (const type of typeLines) {
            const [answer] = yield* exchange(rawRequest(request, [...headers, ...type], body))
            assert.strictEqual(answer?.status, 200, `${request} ${headers} ${type} ${answer?.text}`)
          }
        }
      }
    }))

  it.effect("of no bytes name what is missing where a property is not optional", () =>
    Effect.gen(function* () {
      for (const headers of [{}, { "content-type": "application/json" }]) {
        assertInvalid(yield* call("POST", "/v1/users", { headers }), "email", "authProvider")
        assertInvalid(
          yield* call("POST", `/v1/refresh-tokens/${crypto.randomUUID()}/rotate`, { headers }),
          "tokenHash",
          "expiresAt",
        )
        assertInvalid(
          yield* call("PUT", `/v1/users/by-google-id/${crypto.randomUUID()}`, { headers }),
          "email",
          "emailVerified",
        )
      }
    }))

  it.effect("of a GET or DELETE are ignored", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const options = { body: "{", headers: { "content-length": "1" } }
      assertJson(yield* call("GET", `/v1/users/${userId}`, options), 200)
      assert.strictEqual((yield* call("DELETE", `/v1/users/${userId}`, options)).status, 204)
    }))

  it.effect("that are too large are refused, with a length and in chunks", () =>
    Effect.gen(function* () {
      const huge = JSON.stringify(aUserBody({ fullName: "x".repeat(300_000) }))
      for (const route of withBody) {
        const request = `${route.method} ${targetOf(route)}`
        const headers = ["Content-Type: application/json"]
        const [announced] = yield* exchange(
          rawRequest(request, [...headers, `Content-Length: ${huge.length}`], huge),
        )
        const chunk = `${huge.length.toString(16)}\r\n${huge}\r\n0\r\n\r\n`
        const [chunked] = yield* exchange(
          rawRequest(request, [...headers, "Transfer-Encoding: chunked"], chunk),
        )
        for (const answer of [announced, chunked]) {
          assert.isDefined(answer, request)
          if (answer !== undefined) assertProblem(answer, 413, "body-too-large")
        }
      }
    }))

  it.effect("up to the limit are read", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({
        email: anEmail(),
        ipAddress: "192.0.2.1",
        success: false,
        userAgent: "x".repeat(250_000),
      })
      const answer = yield* call("POST", "/v1/login-attempts", {
        body: body.padEnd(256 * 1024, " "),
        headers: { "content-type": "application/json" },
      })
      assertJson(answer, 201)
    }))

  it.effect("tell of at most so many mistakes, whatever a client asks for", () =>
    Effect.gen(function* () {
      const body = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`p${n}`, n]))
      const answer = yield* call("POST", "/v1/users", { json: body })
      const { errors = [] } = assertProblem(answer, 400, "invalid-request")
      assert.isAtMost(errors.length, 20)
    }))
})
