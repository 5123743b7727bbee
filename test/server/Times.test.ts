import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Answer, assertInvalid, assertJson, assertProblem } from "../support/answers.ts"
import {
  aNewUserId,
  aSuccessorBody,
  aTokenBody,
  aUserBody,
  createToken,
} from "../support/bodies.ts"
import { get, patch, post } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

const refused = [
  "2027-02-30T00:00:00Z",
  "2027-02-29T00:00:00Z",
  "1900-02-29T00:00:00Z",
  "2027-04-31T00:00:00Z",
  "2027-13-01T00:00:00Z",
  "2027-00-01T00:00:00Z",
  "2027-01-00T00:00:00Z",
  "0001-13-13T00:00:00Z",
  "0012-31-31T00:00:00Z",
  "0002-30-02T00:00:00Z",
  "2027-01-01T24:00:00Z",
  "2027-01-01T00:60:00Z",
  "2027-01-01T00:00:61Z",
  "2027-01-01T00:00:00",
  "2027-01-01T00:00Z",
  "2027-01-01",
  "2027-01",
  "2027",
  "20270101T000000Z",
  "2027-W01-1T00:00:00Z",
  "2027-001T00:00:00Z",
  "2027-01-01 00:00:00Z",
  " 2027-01-01T00:00:00Z",
  "2027-01-01T00:00:00Z ",
  "2027-01-01T00:00:00Z\n",
  "2027-01-01T00:00:00,5Z",
  "2027-01-01T00:00:00.Z",
  "2027-01-01T00:00:00+25:00",
  "2027-01-01T00:00:00+24:00",
  "2027-01-01T00:00:00+05:60",
  "2027-01-01T00:00:00+0530",
  "2027-01-01T00:00:00+05",
  "2027-01-01T00:00:00[Europe/Berlin]",
  "2027-01-01T00:00:00Z[UTC]",
  "2027-01-01T00:00:00 UTC",
  "0000-12-31T23:59:59Z",
  "0001-01-01T00:00:00+00:01",
  "10000-01-01T00:00:00Z",
  "+010000-01-01T00:00:00Z",
  "-000001-01-01T00:00:00Z",
  "9999-12-31T23:59:59-00:01",
  "294277-01-01T00:00:00Z",
  "4713-01-01 BC",
  "infinity",
  "-infinity",
  "now",
  "tomorrow",
  "in an hour",
  "epoch",
  "1767225600",
  "1767225600000",
  "２０２７-01-01T00:00:00Z",
  "",
  1767225600,
  1767225600000,
  -1,
  0,
  1e300,
  true,
  null,
  {},
  ["2027-01-01T00:00:00Z"],
]

const taken: ReadonlyArray<readonly [string, string]> = [
  ["2097-01-01T00:00:00Z", "2097-01-01T00:00:00.000Z"],
  ["2097-01-01T00:00:00+05:30", "2096-12-31T18:30:00.000Z"],
  ["2097-01-01T00:00:00-23:59", "2097-01-01T23:59:00.000Z"],
  ["2097-01-01T00:00:00-00:00", "2097-01-01T00:00:00.000Z"],
  ["2097-01-01t00:00:00z", "2097-01-01T00:00:00.000Z"],
  ["2097-01-01T00:00:00.5Z", "2097-01-01T00:00:00.500Z"],
  ["2097-01-01T00:00:00.123456Z", "2097-01-01T00:00:00.123Z"],
  ["2097-01-01T00:00:00.999999999Z", "2097-01-01T00:00:00.999Z"],
  ["2097-01-01T00:00:00.0009Z", "2097-01-01T00:00:00.000Z"],
  ["2096-02-29T12:00:00Z", "2096-02-29T12:00:00.000Z"],
  ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z"],
]

/** Well-formed, and so read, but over: only rows that became old have them. */
const past: ReadonlyArray<readonly [string, string]> = [
  ["2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000Z"],
  ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
  ["0001-01-01T00:00:00.001Z", "0001-01-01T00:00:00.001Z"],
  ["0099-06-15T00:00:00Z", "0099-06-15T00:00:00.000Z"],
  ["1582-10-10T00:00:00Z", "1582-10-10T00:00:00.000Z"],
  ["1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"],
]

/** Asserts that only the time was refused, for its form or because it is over. */
const assertRefusedTime = (answer: Answer, isOver: boolean) => {
  assertInvalid(answer, "expiresAt")
  const { errors = [] } = assertProblem(answer, 400, "invalid-request")
  const messages = errors.map(({ message }) => message)
  assert.strictEqual(messages.includes("Expected a time in the future"), isOver, String(messages))
}

layer(TestService)("times", (it) => {
  it.effect("that are none are refused by name, and nothing is written", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      for (const expiresAt of refused) {
        const body = aTokenBody(userId, { expiresAt })
        assertRefusedTime(yield* post("/v1/refresh-tokens", body), false)
        const created = yield* get(`/v1/refresh-tokens/${body["tokenHash"]}`)
        assertProblem(created, 404, "refresh-token-not-found")
      }
    }))

  it.effect("that are none are refused also where none need be given", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      for (const time of refused.filter((time) => time !== null)) {
        const ofSession = aTokenBody(userId, { sessionExpiresAt: time })
        assertInvalid(yield* post("/v1/refresh-tokens", ofSession), "sessionExpiresAt")
        const verified = { emailVerifiedAt: time }
        assertInvalid(yield* post("/v1/users", aUserBody(verified)), "emailVerifiedAt")
        assertInvalid(yield* patch(`/v1/users/${userId}`, verified), "emailVerifiedAt")
      }
    }))

  it.effect("that are none are refused in a rotation, and the old token stays alive", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* createToken()
      const path = `/v1/refresh-tokens/${tokenHash}`
      for (const expiresAt of refused) {
        assertRefusedTime(yield* post(`${path}/rotate`, aSuccessorBody({ expiresAt })), false)
      }
      assertJson(yield* get(`${path}/valid`), 200)
    }))

  it.effect("with an offset or finer digits are the same instant in UTC, cut to milliseconds", () =>
    Effect.gen(function* () {
      const userId = yield* aNewUserId
      for (const [expiresAt, answered] of taken) {
        const { tokenHash, ...created } = yield* createToken({
          userId,
          expiresAt,
          sessionExpiresAt: expiresAt,
        })
        const times = { expiresAt: answered, sessionExpiresAt: answered }
        assert.deepInclude(created, times, expiresAt)
        const found = yield* get(`/v1/refresh-tokens/${tokenHash}`)
        assert.deepInclude(assertJson(found, 200), times, expiresAt)
        const user = yield* patch(`/v1/users/${userId}`, { emailVerifiedAt: expiresAt })
        assert.strictEqual(assertJson(user, 200)["emailVerifiedAt"], answered, expiresAt)
      }
    }))

  it.effect("that are over are refused as such, and answered as they are stored", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { userId, tokenHash } = yield* createToken()
      for (const [expiresAt, answered] of past) {
        const body = aTokenBody(String(userId), { expiresAt })
        assertRefusedTime(yield* post("/v1/refresh-tokens", body), true)
        yield* sql`
          UPDATE refresh_tokens
          SET expires_at = ${answered}::timestamptz
          WHERE token_hash = ${String(tokenHash)}`
        const found = yield* get(`/v1/refresh-tokens/${tokenHash}`)
        assert.strictEqual(assertJson(found, 200)["expiresAt"], answered, expiresAt)
      }
    }))

  it.effect("that are answered are what is stored", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const time = "2091-05-06T07:08:09.123456+05:30"
      const token = yield* createToken({ expiresAt: time, sessionExpiresAt: time })
      yield* post(`/v1/refresh-tokens/${token["tokenHash"]}/revoke`, {})
      const { createdAt, revokedAt, expiresAt, signedInAt, sessionExpiresAt } =
        (yield* get(`/v1/refresh-tokens/${token["tokenHash"]}`)).json
      const rows = yield* sql`
        SELECT id
        FROM refresh_tokens
        WHERE
          id = ${String(token["id"])}
          AND created_at = ${String(createdAt)}::timestamptz
          AND revoked_at = ${String(revokedAt)}::timestamptz
          AND expires_at = ${String(expiresAt)}::timestamptz
          AND session_expires_at = ${String(sessionExpiresAt)}::timestamptz
          AND created_at = ${String(signedInAt)}::timestamptz`
      assert.lengthOf(rows, 1)
    }))
})
