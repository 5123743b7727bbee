import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { assertInvalid, assertJson, assertProblem, assertRefused } from "../support/answers.ts"
import { aUserBody, createToken, createUser } from "../support/bodies.ts"
import { call, get } from "../support/calls.ts"
import { type ContractRoute, keyedRoutes, targetOf } from "../support/contractRoutes.ts"
import { TestService } from "../support/TestService.ts"

type Kind = "text" | "boolean" | "days" | "count" | "object" | "texts" | "limits"

/** Every property of every body, with the kind of value that it takes. */
const properties: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  "POST /v1/users": {
    email: "text",
    authProvider: "text",
    passwordHash: "text",
    googleId: "text",
    fullName: "text",
    isActive: "boolean",
    emailVerifiedAt: "text",
  },
  "PUT /v1/users/by-google-id/{googleId}": {
    email: "text",
    emailVerified: "boolean",
    fullName: "text",
    onEmailTaken: "text",
  },
  "PATCH /v1/users/{id}": {
    email: "text",
    authProvider: "text",
    passwordHash: "text",
    googleId: "text",
    fullName: "text",
    isActive: "boolean",
    emailVerifiedAt: "text",
    revokeSessions: "object",
  },
  "POST /v1/refresh-tokens": {
    userId: "text",
    tokenHash: "text",
    expiresAt: "text",
    userAgent: "text",
    ipAddress: "text",
    sessionExpiresAt: "text",
    userVersion: "text",
    maxSessions: "count",
    onLimit: "text",
  },
  "POST /v1/refresh-tokens/{tokenHash}/rotate": {
    tokenHash: "text",
    expiresAt: "text",
    userAgent: "text",
    ipAddress: "text",
    graceSeconds: "count",
    onReuse: "text",
  },
  "POST /v1/refresh-tokens/{tokenHash}/revoke": { reason: "text" },
  "POST /v1/users/{id}/refresh-tokens/revoke": {
    exceptTokenHash: "text",
    exceptSessionId: "text",
    reason: "text",
  },
  "POST /v1/users/{id}/sessions/{sessionId}/revoke": { reason: "text" },
  "POST /v1/login-attempts": {
    userId: "text",
    email: "text",
    ipAddress: "text",
    userAgent: "text",
    success: "boolean",
    failureReason: "text",
  },
  "POST /v1/login-attempts/begin": {
    email: "text",
    ipAddress: "text",
    userAgent: "text",
    limits: "limits",
  },
  "POST /v1/login-attempts/{id}/complete": {
    success: "boolean",
    failureReason: "text",
    refreshToken: "object",
  },
  "POST /v1/users/lookup": { ids: "texts", emails: "texts", googleIds: "texts" },
  "POST /v1/users/{id}/login-attempts/forgive": {},
  "POST /v1/maintenance/delete-expired-tokens": { olderThanDays: "days" },
  "POST /v1/maintenance/delete-old-login-attempts": { olderThanDays: "days" },
}

/** JSON as it is written, since most of it has no JavaScript value that is printed so. */
const wrongForAll = [
  "[]",
  "{}",
  '[""]',
  '{"value":"x"}',
  '{"__proto__":null}',
  "1e999",
  "-1e999",
  "0.5",
  "9".repeat(400),
  "-1",
  '"\\u0000"',
  '"a\\u0000b"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"a\\udfffb"',
  `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
]

const wrong = {
  text: [...wrongForAll, "1", "-0", "1e2", "9007199254740993", "true", "false"],
  boolean: [...wrongForAll, "1", "0", "-0", '"true"', '"false"', '"yes"', '""', "null"],
  days: [...wrongForAll, "36501", "2147483648", "9007199254740993", '"7"', '""', "true", "null"],
  count: [...wrongForAll, "1001", "2147483648", "9007199254740993", '"7"', '""', "true"],
  object: [
    ...wrongForAll.filter((value) => value !== "{}"),
    '{"reason":"Logout"}',
    '{"reason":"rotated"}',
    '{"exceptSessionId":"1"}',
    "1",
    '""',
    "true",
  ],
  texts: [
    ...wrongForAll,
    '["a","\\u0000"]',
    '["a",1]',
    '["a",null]',
    '[["a"]]',
    '"a"',
    "true",
    `[${Array(501).fill('"a"')}]`,
  ],
  limits: [
    ...wrongForAll.filter((value) => value !== "[]"),
    "null",
    "[{}]",
    "[[]]",
    "[null]",
    '[{"by":"host","failures":5,"minutes":15}]',
    ...["0", "-1", "1.5", "10001", "1e999", "null", '"5"'].map((failures) =>
      `[{"by":"email","failures":${failures},"minutes":15}]`
    ),
    ...["0", "-1", "1.5", "43201", "1e999", "null", '"15"'].map((minutes) =>
      `[{"by":"email","failures":5,"minutes":${minutes}}]`
    ),
    `[${Array(9).fill('{"by":"email","failures":5,"minutes":15}')}]`,
  ],
}

const withBody = keyedRoutes.filter(({ body }) => body !== undefined)

const send = ({ method }: ContractRoute, target: string, body: string) =>
  call(method, target, { body, headers: { "content-type": "application/json" } })

layer(TestService)("hostile bodies", (it) => {
  it.effect("are tried for every route that takes one", () =>
    Effect.sync(() =>
      assert.deepStrictEqual(
        Object.keys(properties).sort(),
        withBody.map(({ method, path }) => `${method} ${path}`).sort(),
      )
    ))

  for (const route of withBody) {
    const name = `${route.method} ${route.path}`
    const known = Object.entries(properties[name] ?? {})
    if (known.length > 0) {
      it.effect(`with a wrong value of any property are refused by name at ${name}`, () =>
        Effect.gen(function* () {
          for (const [property, kind] of known) {
            const { [property]: _, ...others } = route.body ?? {}
            const rest = JSON.stringify(others).slice(1, -1)
            for (const value of wrong[kind]) {
              const body = `{${rest}${rest === "" ? "" : ","}"${property}":${value}}`
              const answer = yield* send(route, targetOf(route), body)
              const { errors = [] } = assertProblem(answer, 400, "invalid-request")
              for (const { path } of errors) {
                assert.strictEqual(path.split(".")[0], property, value.slice(0, 100))
              }
            }
          }
        }))
    }

    it.effect(`with a property of any other name are refused at ${name}`, () =>
      Effect.gen(function* () {
        for (
          const property of [
            "__proto__",
            "constructor",
            "prototype",
            "toString",
            "hasOwnProperty",
            "toJSON",
            "then",
            "",
            " ",
            "0",
            "\\u0000",
            "\\ud800",
            "😀",
            "x".repeat(100_000),
          ]
        ) {
          for (const value of ["null", "{}", '{"isActive":true}', "1"]) {
            const rest = JSON.stringify(route.body).slice(1, -1)
            const body = `{"${property}":${value}${rest === "" ? "" : `,${rest}`}}`
            const answer = yield* send(route, targetOf(route), body)
            const { errors = [] } = assertProblem(answer, 400, "invalid-request")
            assert.lengthOf(errors, 1)
            assert.isBelow(answer.text.length, 1000)
          }
        }
      }))

    it.effect(`nested as deep as they can be are refused at ${name}`, () =>
      Effect.gen(function* () {
        for (
          const body of [
            `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
            `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`,
            "[".repeat(250_000),
            '{"a":'.repeat(50_000),
          ]
        ) {
          assertProblem(yield* send(route, targetOf(route), body), 400, "invalid-request")
        }
      }))

    it.effect(`of a megabyte are refused at ${name}`, () =>
      Effect.gen(function* () {
        const [property = "x"] = Object.keys(properties[name] ?? {})
        const body = JSON.stringify({ ...route.body, [property]: "x".repeat(2 ** 20) })
        assertProblem(yield* send(route, targetOf(route), body), 413, "body-too-large")
      }))

    it.effect(`with raw control characters are refused at ${name}`, () =>
      Effect.gen(function* () {
        for (const character of ["\u0000", "\u0001", "\n", "\u001f"]) {
          const body = `{"email":"${character}"}`
          assertInvalid(yield* send(route, targetOf(route), body), "body")
        }
      }))
  }

  it.effect("that name a property twice count with the last value", () =>
    Effect.gen(function* () {
      const rest = JSON.stringify(aUserBody()).slice(0, -1)
      const body = `${rest},"fullName":"First","fullName":"Last"}`
      const answer = yield* call("POST", "/v1/users", {
        body,
        headers: { "content-type": "application/json" },
      })
      assert.strictEqual(assertJson(answer, 201)["fullName"], "Last")
    }))

  it.effect("with unusual but whole numbers are taken", () =>
    Effect.gen(function* () {
      for (const days of ["-0", "36500.0", "3.65e4", "365E2"]) {
        const answer = yield* call("POST", "/v1/maintenance/delete-expired-tokens", {
          body: `{"olderThanDays":${days}}`,
          headers: { "content-type": "application/json" },
        })
        assertJson(answer, 200)
      }
    }))

  it.effect("keep text as it was sent where any text may be", () =>
    Effect.gen(function* () {
      for (
        const text of [
          "\u0001\u001f\u007f",
          "\u2028\u2029\ufeff\ufffe\uffff",
          "😀\u{10ffff}",
          "e\u0301",
          "\u202etxt",
          "<script>",
          "'; DROP TABLE users; --",
          "$1 %s {} \\ \\x00",
          "NULL",
          " blanks ",
          "\t\r\n",
        ]
      ) {
        const { id } = yield* createUser({ fullName: text })
        assert.strictEqual((yield* get(`/v1/users/${id}`)).json["fullName"], text)
        const { userAgent } = yield* createToken({ userAgent: text })
        assert.strictEqual(userAgent, text)
      }
    }))
})

layer(TestService)("hostile paths and queries", (it) => {
  const hostile = [
    "%00",
    "a%00b",
    "%0d%0aSet-Cookie:%20a=b",
    "%F4%90%80%80",
    "%E2%80%AE",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "__proto__",
    "constructor",
    "9".repeat(400),
    "1e999",
    "NaN",
    "'%20OR%201=1--",
    "{}",
    "[]",
    "x".repeat(513),
    "x".repeat(7000),
    "x".repeat(9000),
    "%C3%A9".repeat(1500),
    "x".repeat(14_000),
  ]

  for (const route of keyedRoutes.filter(({ path }) => path.includes("{"))) {
    it.effect(`find nothing at ${route.method} ${route.path}`, () =>
      Effect.gen(function* () {
        // Only a PUT creates what it does not find, and this one is to find the address taken.
        const refusals = route.method === "PUT" ? [400, 404, 409] : [400, 404]
        const json = route.method === "PUT"
          ? { ...route.body, email: (yield* createUser())["email"] }
          : route.body
        for (const [parameter] of route.path.matchAll(/\{\w+\}/g)) {
          for (const value of hostile) {
            const target = targetOf({ ...route, path: route.path.replace(parameter, "$") })
            const answer = yield* call(route.method, target.replace("$", () => value), { json })
            assertRefused(answer)
            assert.include(refusals, answer.status, value.slice(0, 50))
          }
        }
      }))
  }

  it.effect("are refused in every parameter", () =>
    Effect.gen(function* () {
      const user = `/v1/users/${(yield* createUser())["id"]}`
      for (
        const parameter of [
          "/v1/users?limit",
          "/v1/users?cursor",
          `${user}/refresh-tokens?active`,
          `${user}/refresh-tokens?limit`,
          `${user}/refresh-tokens?cursor`,
          `${user}/sessions?limit`,
          `${user}/sessions?cursor`,
          "/v1/refresh-tokens/hash/valid?include",
          `${user}/login-attempts/recent-failures?minutes`,
          "/v1/login-attempts/recent-failures?email",
          "/v1/login-attempts/recent-failures?ipAddress",
          "/v1/login-attempts/recent-failures?email=a@example.com&minutes",
        ]
      ) {
        for (const value of hostile) {
          const answer = yield* get(`${parameter}=${value}`)
          assertProblem(answer, 400, "invalid-request")
          assert.isBelow(answer.text.length, 1000)
        }
      }
    }))

  it.effect("with names of parameters that nobody knows are refused", () =>
    Effect.gen(function* () {
      for (const name of [...hostile, "limit%00", "limit[$gt]"]) {
        assertProblem(yield* get(`/v1/users?${name}=1`), 400, "invalid-request")
      }
      const many = Array.from({ length: 3000 }, (_, n) => `p${n}`).join("&")
      const answer = yield* get(`/v1/users?${many.slice(0, 12_000)}`)
      assertProblem(answer, 400, "invalid-request")
      assert.isBelow(answer.text.length, 4000)
    }))
})
