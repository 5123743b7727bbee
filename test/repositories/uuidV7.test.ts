import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { uuidV7 } from "../../src/repositories/uuidV7.ts"
import { atOnce } from "../support/atOnce.ts"
import { anAttempt, aToken, aUser } from "../support/factories.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const several = Array.from({ length: 20 })

const version = (id: string) => id[14]

describe("a new id", () => {
  it("is a UUID of version 7 that begins with the time", () => {
    const earliest = Date.now()
    const id = uuidV7()
    const latest = Date.now()
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const time = parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    assert.isAtLeast(time, earliest)
    assert.isAtMost(time, latest)
  })

  it("is another one each time", () => {
    const ids = Array.from({ length: 10_000 }, uuidV7)
    assert.strictEqual(new Set(ids).size, ids.length)
  })
})

layer(TestDatabase.layerRepositories)("the id of a row", (it) => {
  it.effect("tells the time unless it is a user's, alone and in a group", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      const user = yield* users.create(aUser())
      const more = yield* atOnce(several.map(() => users.create(aUser())))
      assert.deepStrictEqual([user, ...more].filter(({ id }) => version(id) !== "4"), [])

      const token = () => tokens.create(aToken(user.id))
      const attempt = () => attempts.create(anAttempt())
      const made = [
        yield* token(),
        yield* attempt(),
        ...yield* atOnce(several.map(token)),
        ...yield* atOnce(several.map(attempt)),
      ]
      assert.deepStrictEqual(made.filter(({ id }) => version(id) !== "7"), [])
    }))
})
