import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Schema } from "effect"
import { Place } from "../../src/domain/Page.ts"

const id = "5f0c0f3e-8c1a-4f7e-9d57-0a4f5c2b6d10"

describe("a place in a list", () => {
  it.effect("survives being written down", () =>
    Effect.gen(function* () {
      const place = new Place({ createdAt: DateTime.makeUnsafe("2026-06-01T12:00:00.123Z"), id })
      const written = yield* Schema.encodeEffect(Place)(place)
      assert.deepStrictEqual(yield* Schema.decodeEffect(Place)(written), place)
    }))

  it("is nothing that PostgreSQL could not compare with", () => {
    const isPlace = Schema.decodeUnknownOption(Place)
    const createdAt = "2026-06-01T12:00:00.000Z"
    assert.strictEqual(isPlace({ createdAt, id })._tag, "Some")
    for (
      const forged of [
        { createdAt, id: "1" },
        { createdAt, id: "'; DROP TABLE users" },
        { createdAt: "+275760-09-13T00:00:00.000Z", id },
        { createdAt: "-000001-01-01T00:00:00.000Z", id },
        { createdAt: "infinity", id },
        { createdAt: 8_640_000_000_000_000, id },
      ]
    ) {
      assert.strictEqual(isPlace(forged)._tag, "None", JSON.stringify(forged))
    }
  })
})
