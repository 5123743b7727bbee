import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertInvalid, assertJson } from "../support/answers.ts"
import {
  anAttemptBody,
  aNewUserId,
  aSuccessorBody,
  aTokenBody,
  createAttempt,
  createToken,
} from "../support/bodies.ts"
import { get, post } from "../support/calls.ts"
import { anEmail } from "../support/factories.ts"
import { TestService } from "../support/TestService.ts"

const refused = [
  "192.0.2.1, 198.51.100.1",
  "192.0.2.1,198.51.100.1",
  "192.0.2.1 198.51.100.1",
  "192.0.2.1:8080",
  "[2001:db8::1]",
  "[2001:db8::1]:8080",
  "2001:db8::1]",
  "fe80::1%eth0",
  "fe80::1%25eth0",
  "192.0.2.1%eth0",
  "192.0.2.0/24",
  "192.0.2.1/32",
  "2001:db8::/32",
  "2001:db8::1/128",
  "unknown",
  "_hidden",
  "localhost",
  "example.com",
  "",
  " ",
  "\n",
  " 192.0.2.1",
  "192.0.2.1 ",
  "192.0.2.1\n",
  "192.0.2.1\u0000",
  "192.0.2",
  "192.0.2.",
  "192.0.2.1.",
  ".192.0.2.1",
  "192.0.2.1.5",
  "192.0..1",
  "192.0.2.256",
  "192.0.2.-1",
  "192.0.2.01",
  "192.000.002.001",
  "0300.0.2.1",
  "0xc0.0.2.1",
  "0xc0000201",
  "3221225985",
  "127.1",
  "1",
  "٣.0.2.1",
  "192。0。2。1",
  "::ffff:192.0.2",
  "::ffff:192.0.2.256",
  ":::",
  "2001:db8::1::2",
  "2001:db8:::1",
  "2001:db8:1:2:3:4:5",
  "2001:db8:1:2:3:4:5:6:7",
  "2001:db8:1:2:3:4:5:6::7",
  "2001:db8::12345",
  "2001:db8::g",
  ":1",
  "1:",
  'for="192.0.2.1"',
  "ipv4:192.0.2.1",
]

const canonical: ReadonlyArray<readonly [string, string]> = [
  ["192.0.2.1", "192.0.2.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["2001:DB8::ABCD", "2001:db8::abcd"],
  ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["::", "::"],
  ["::1", "::1"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["FE80::1", "fe80::1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::FFFF:192.0.2.1", "192.0.2.1"],
  ["::ffff:c000:201", "192.0.2.1"],
  ["0:0:0:0:0:ffff:c000:0201", "192.0.2.1"],
  ["2001:db8::192.0.2.1", "2001:db8::c000:201"],
]

const counter = (query: string) => `/v1/login-attempts/recent-failures?${query}`

layer(TestService)("addresses", (it) => {
  it.effect("that are not one plain address are refused by name wherever one is taken", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      const { tokenHash } = yield* createToken({ userId })
      for (const ipAddress of refused) {
        const attempt = anAttemptBody({ ipAddress })
        assertInvalid(yield* post("/v1/login-attempts", attempt), "ipAddress")
        const token = aTokenBody(userId, { ipAddress })
        assertInvalid(yield* post("/v1/refresh-tokens", token), "ipAddress")
        const successor = aSuccessorBody({ ipAddress })
        const rotation = yield* post(`/v1/refresh-tokens/${tokenHash}/rotate`, successor)
        assertInvalid(rotation, "ipAddress")
        const query = `ipAddress=${encodeURIComponent(ipAddress)}`
        assertInvalid(yield* get(counter(query)), "ipAddress")
        assertInvalid(yield* get(counter(`email=${anEmail()}&${query}`)), "ipAddress")
      }
      assertJson(yield* get(`/v1/refresh-tokens/${tokenHash}/valid`), 200)
      const sql = yield* SqlClient.SqlClient
      assert.lengthOf(yield* sql`SELECT id FROM refresh_tokens WHERE user_id = ${userId}`, 1)
    }))

  it.effect("of another type are refused by name, and null only where there may be none", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      for (const ipAddress of [3221225985, 1, true, {}, ["192.0.2.1"]]) {
        const attempt = anAttemptBody({ ipAddress })
        assertInvalid(yield* post("/v1/login-attempts", attempt), "ipAddress")
        const token = aTokenBody(userId, { ipAddress })
        assertInvalid(yield* post("/v1/refresh-tokens", token), "ipAddress")
      }
      const attempt = anAttemptBody({ ipAddress: null })
      assertInvalid(yield* post("/v1/login-attempts", attempt), "ipAddress")
      assert.isNull((yield* createToken({ userId, ipAddress: null }))["ipAddress"])
    }))

  it.effect("are answered in canonical form", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      for (const [ipAddress, answered] of canonical) {
        assert.strictEqual((yield* createAttempt({ ipAddress }))["ipAddress"], answered)
        const token = yield* createToken({ userId, ipAddress })
        assert.strictEqual(token["ipAddress"], answered)
        const found = yield* get(`/v1/refresh-tokens/${token["tokenHash"]}`)
        assert.strictEqual(found.json["ipAddress"], answered)
      }
    }))

  it.effect("of one client have one count, in whatever form they are given", () =>
    Effect.gen(function* () {
      const forms = [
        "2001:db8:ffff::a7f",
        "2001:DB8:FFFF:0:0:0:0:A7F",
        "2001:0db8:ffff:0000:0000:0000:0000:0a7f",
      ]
      const mapped = ["198.51.100.77", "::ffff:198.51.100.77", "::FFFF:c633:644d"]
      for (const group of [forms, mapped]) {
        for (const ipAddress of group) yield* createAttempt({ ipAddress })
        for (const ipAddress of group) {
          for (const written of [ipAddress, encodeURIComponent(ipAddress)]) {
            const answer = yield* get(counter(`ipAddress=${written}`))
            assert.deepStrictEqual(assertJson(answer, 200), { count: 3 }, written)
          }
        }
      }
    }))
})
