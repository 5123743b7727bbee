import { assert, describe, it } from "@effect/vitest"
import { countThreads, shareOf } from "../../src/threads/share.ts"

const limits = { databasePoolSize: 10, maxConnections: 10_000, maxRequestsInFlight: 512 }
const asked = (threads: number) => ({ ...limits, threads })
const linux = "linux"

describe("the number of threads", () => {
  it("is what is asked for", () => {
    assert.strictEqual(countThreads(asked(1), linux), 1)
    assert.strictEqual(countThreads(asked(5), linux), 5)
  })

  it("is one where a port cannot be shared", () => {
    assert.strictEqual(countThreads(asked(4), "darwin"), 1)
  })

  it.each([
    [{ databasePoolSize: 1 }, 1],
    [{ databasePoolSize: 5 }, 2],
    [{ maxConnections: 1 }, 1],
    [{ maxConnections: 350 }, 3],
    [{ maxRequestsInFlight: 1 }, 1],
    [{ maxRequestsInFlight: 40 }, 2],
  ])("leaves each of them enough of %j", (limit, expected) => {
    assert.strictEqual(countThreads({ ...asked(8), ...limit }, linux), expected)
  })
})

describe("the shares of threads", () => {
  it("add up to the whole, and differ by one at most", () => {
    for (const count of [1, 2, 3, 7]) {
      const shares = Array.from({ length: count }, (_, index) => shareOf(limits, index, count))
      for (const [name, whole] of Object.entries(limits)) {
        const parts = shares.map((share) => share[name as keyof typeof limits])
        assert.strictEqual(parts.reduce((sum, part) => sum + part), whole)
        assert.isAtMost(Math.max(...parts) - Math.min(...parts), 1)
      }
    }
  })

  it("leave other settings as they are", () => {
    assert.strictEqual(shareOf({ ...limits, port: 8080 }, 1, 2).port, 8080)
  })
})
