import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { LoginAttempt } from "../../src/domain/LoginAttempt.ts"

const body = { email: "ada@example.com", ipAddress: "192.0.2.1", success: false }
const decode = Schema.decodeUnknownExit(LoginAttempt.insert)
const isTaken = (extra: object) => Exit.isSuccess(decode({ ...body, ...extra }))

describe("a new login attempt", () => {
  it("has null for what is absent", () => {
    assert.isTrue(Exit.isSuccess(decode(body)))
    assert.deepStrictEqual(
      decode(body),
      decode({ ...body, userId: null, userAgent: null, failureReason: null }),
    )
  })

  it("has a reason of 1 to 256 characters", () => {
    assert.isTrue(isTaken({ failureReason: "x".repeat(256) }))
    assert.isFalse(isTaken({ failureReason: "x".repeat(257) }))
    assert.isFalse(isTaken({ failureReason: "" }))
  })

  it("needs an address, a host and an outcome", () => {
    assert.isFalse(isTaken({ email: undefined }))
    assert.isFalse(isTaken({ ipAddress: null }))
    assert.isFalse(isTaken({ success: "false" }))
  })
})
