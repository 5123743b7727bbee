import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { UserAgent } from "../../src/domain/UserAgent.ts"

const decode = Schema.decodeSync(UserAgent)

describe("a user agent", () => {
  it("is kept as it is up to 1,024 characters", () => {
    for (const given of ["", "curl/8", "x".repeat(1_024), "😀".repeat(1_024)]) {
      assert.strictEqual(decode(given), given)
    }
  })

  it("is cut at 1,024 characters, never within one", () => {
    assert.strictEqual(decode("x".repeat(5_000)), "x".repeat(1_024))
    assert.strictEqual(decode("😀".repeat(5_000)), "😀".repeat(1_024))
    assert.strictEqual(decode(`x${"😀".repeat(1_024)}`), `x${"😀".repeat(1_023)}`)
  })

  it("is refused where PostgreSQL could not give it back, also beyond the cut", () => {
    for (const given of ["a\0b", "\ud800", `${"x".repeat(2_000)}\0`]) {
      assert.isTrue(Exit.isFailure(Schema.decodeExit(UserAgent)(given)))
    }
  })
})
