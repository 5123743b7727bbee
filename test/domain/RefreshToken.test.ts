import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { RefreshToken, TokenHash } from "../../src/domain/RefreshToken.ts"

const expiry = DateTime.makeUnsafe("2026-06-01T12:00:00.000Z")
const before = DateTime.makeUnsafe("2026-06-01T11:00:00.000Z")

const row = {
  id: "5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10",
  userId: "0d9f1a3c-1b2e-4c5d-8e7f-112233445566",
  tokenHash: "hash",
  expiresAt: DateTime.toDateUtc(expiry),
  createdAt: DateTime.toDateUtc(before),
  revokedAt: null,
  userAgent: null,
  ipAddress: null,
  sessionId: "5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10",
  signedInAt: DateTime.toDateUtc(before),
  sessionExpiresAt: null,
  revokedReason: null,
  successorId: null,
  wasValid: true,
}

const decode = Schema.decodeEffect(RefreshToken)
const at = (instant: DateTime.DateTime) => TestClock.setTime(instant.epochMilliseconds)

describe("a refresh token", () => {
  it.effect("is valid until the last millisecond before it expires", () =>
    Effect.gen(function* () {
      const token = yield* decode(row)
      yield* at(DateTime.subtract(expiry, { milliseconds: 1 }))
      assert.isTrue(yield* token.isValid)
    }))

  it.effect("is not valid at the instant of its expiry", () =>
    Effect.gen(function* () {
      const token = yield* decode(row)
      yield* at(expiry)
      assert.isFalse(yield* token.isValid)
    }))

  it.effect("is not valid after its expiry", () =>
    Effect.gen(function* () {
      const token = yield* decode(row)
      yield* at(DateTime.add(expiry, { days: 1 }))
      assert.isFalse(yield* token.isValid)
    }))

  it.effect("stops to be valid while time passes, without being read again", () =>
    Effect.gen(function* () {
      const token = yield* decode(row)
      yield* at(before)
      assert.isTrue(yield* token.isValid)
      yield* TestClock.adjust("1 hour")
      assert.isFalse(yield* token.isValid)
    }))

  it.effect("is not valid when it was revoked, however long it would have lived", () =>
    Effect.gen(function* () {
      const token = yield* decode({ ...row, revokedAt: DateTime.toDateUtc(before) })
      yield* at(before)
      assert.isFalse(yield* token.isValid)
    }))
})

describe("a token hash", () => {
  const isValid = Schema.is(TokenHash)

  it("has 1 to 512 characters, counted by code point", () => {
    assert.isFalse(isValid(""))
    assert.isTrue(isValid("x".repeat(512)))
    assert.isTrue(isValid("🔑".repeat(512)))
    assert.isFalse(isValid("x".repeat(513)))
    assert.isFalse(isValid("🔑".repeat(513)))
  })

  it("has no characters that PostgreSQL cannot give back", () => {
    assert.isFalse(isValid("a\0b"))
    assert.isFalse(isValid("a\ud800b"))
  })
})
