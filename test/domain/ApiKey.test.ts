import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { ApiKey } from "../../src/domain/ApiKey.ts"

const entry = { name: "auth-service", sha256: "0a".repeat(32), scopes: ["users:read", "*"] }
const isTaken = (changes: object) =>
  Exit.isSuccess(Schema.decodeUnknownExit(ApiKey)({ ...entry, ...changes }))

describe("an API key", () => {
  it("has a name, a digest and scopes", () => {
    assert.isTrue(isTaken({}))
    assert.isTrue(isTaken({ sha256: "0A".repeat(32), scopes: [] }))
  })

  it("has a name of 1 to 100 characters", () => {
    assert.isFalse(isTaken({ name: "" }))
    assert.isFalse(isTaken({ name: "x".repeat(101) }))
  })

  it("has no digest but 64 hexadecimal digits", () => {
    for (const sha256 of ["", "0a".repeat(31), "0a".repeat(33), "0g".repeat(32), "a secret key"]) {
      assert.isFalse(isTaken({ sha256 }), sha256)
    }
  })

  it("has no scopes that do not exist", () => {
    assert.isFalse(isTaken({ scopes: ["users:delete"] }))
    assert.isFalse(isTaken({ scopes: ["USERS:READ"] }))
  })
})
