import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import { fitConnections } from "../../src/config/openFiles.ts"

const settings = { maxConnections: 10_000, databasePoolSize: 10, threads: 1, other: "kept" }

const fitted = (overrides: Partial<typeof settings>, limit: number) =>
  fitConnections({ ...settings, ...overrides }, Option.some(limit)).settings

describe("fitConnections", () => {
  it("leaves the settings alone where there is room, or where nobody knows", () => {
    for (const limit of [Option.none(), Option.some(20_000), Option.some(1_048_576)]) {
      assert.deepStrictEqual(fitConnections(settings, limit), { settings, warning: Option.none() })
    }
  })

  it("leaves room for the database, files and a burst of clients, and names the numbers", () => {
    const { settings: { maxConnections, ...rest }, warning } = fitConnections(
      settings,
      Option.some(1_024),
    )
    assert.isBelow(maxConnections, 1_024 - 64 - 12 - 128)
    assert.isAbove(maxConnections, 700)
    assert.deepStrictEqual(rest, { databasePoolSize: 10, threads: 1, other: "kept" })
    const sentence = Option.getOrThrow(warning)
    for (const number of ["10000", "1024", String(maxConnections)]) {
      assert.include(sentence, number)
    }
  })

  it("leaves more room for more threads and more connections to the database", () => {
    assert.isBelow(fitted({ threads: 2 }, 4_096).maxConnections, fitted({}, 4_096).maxConnections)
    assert.strictEqual(
      fitted({ databasePoolSize: 110 }, 4_096).maxConnections,
      fitted({}, 4_096).maxConnections - 100,
    )
  })

  it("has fewer threads rather than hardly any connections, and says so", () => {
    const { settings: { maxConnections, threads }, warning } = fitConnections(
      { ...settings, maxConnections: 400, threads: 8 },
      Option.some(1_024),
    )
    assert.deepStrictEqual({ maxConnections, threads }, { maxConnections: 400, threads: 3 })
    assert.include(Option.getOrThrow(warning), "400 connections in 3 threads")
  })

  it("takes one connection, in one thread, at least", () => {
    const { maxConnections, threads } = fitted({ threads: 4 }, 16)
    assert.deepStrictEqual({ maxConnections, threads }, { maxConnections: 1, threads: 1 })
  })
})
