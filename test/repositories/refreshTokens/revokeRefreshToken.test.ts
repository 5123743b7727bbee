import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { atOnce, few, outcomes, whileHeld } from "../../support/atOnce.ts"
import { aTokenHash } from "../../support/factories.ts"
import { aSavedToken } from "../../support/saved.ts"
import { Statements } from "../../support/Statements.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const savedTokens = Effect.forEach(Array.from({ length: 20 }), () => aSavedToken())

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)), {
  excludeTestServices: true,
})("revocations at once", (it) => {
  it.effect("are a few statements, and each caller gets its own token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { counted } = yield* Statements
      const saved = yield* savedTokens

      const [statements, revoked] = yield* counted(
        atOnce(saved.map(({ tokenHash }) => tokens.revoke(tokenHash))),
      )
      assert.isAtMost(statements, few)
      assert.deepStrictEqual(revoked.map(({ id }) => id), saved.map(({ id }) => id))
      for (const token of revoked) {
        assert.isNotNull(token.revokedAt)
        assert.isFalse(token.wasValid)
        assert.deepStrictEqual(yield* tokens.getByTokenHash(token.tokenHash), Option.some(token))
      }
    }))

  it.effect("of one token, some of them late, all answer with the first time", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const before = yield* aSavedToken()
      const first = yield* tokens.revoke(before.tokenHash)
      const now = yield* aSavedToken()
      const others = yield* savedTokens

      const found = yield* atOnce(
        others.flatMap(({ tokenHash }) =>
          [before.tokenHash, tokenHash, now.tokenHash].map((hash) => tokens.revoke(hash))
        ),
      )
      const answersOf = (id: string) => found.filter((token) => token.id === id)
      assert.lengthOf(answersOf(before.id), 20)
      for (const answer of answersOf(before.id)) assert.deepStrictEqual(answer, first)
      const [one, ...rest] = answersOf(now.id)
      assert.lengthOf(rest, 19)
      for (const answer of rest) assert.deepStrictEqual(answer, one)
      assert.isNotNull(one?.revokedAt)
    }))

  it.effect("tell only those of an unknown token that there is none", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const saved = yield* savedTokens
      const found = yield* outcomes(
        saved.flatMap(({ tokenHash }) => [tokens.revoke(tokenHash), tokens.revoke(aTokenHash())]),
      )
      assert.deepStrictEqual(
        found.map((outcome) => typeof outcome === "string" ? outcome : outcome.id),
        saved.flatMap(({ id }) => [id, "RefreshTokenNotFound"]),
      )
    }))

  it.effect("are answered to the others where one of the rows is not what it should be", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const { counted } = yield* Statements
      const strange = yield* aSavedToken()
      yield* sql`ALTER TABLE refresh_tokens DROP CONSTRAINT refresh_tokens_created_at_check`
      yield* sql`UPDATE refresh_tokens SET created_at = 'infinity' WHERE id = ${strange.id}`
      const saved = yield* savedTokens

      const [statements, found] = yield* counted(atOnce(
        [...saved, strange].map(({ tokenHash }) => Effect.exit(tokens.revoke(tokenHash))),
      ))
      // None was done again: what is strange about the row would be so once more.
      assert.isAtMost(statements, few)
      assert.deepStrictEqual(
        found.slice(0, -1).map((exit) => Exit.isSuccess(exit) ? exit.value.id : exit),
        saved.map(({ id }) => id),
      )
      const [spoilt] = found.slice(-1)
      assert.isDefined(spoilt)
      const defect = Exit.isFailure(spoilt) ? Cause.squash(spoilt.cause) : undefined
      assert.match(String(defect), /see createdAt$/)
      assert.lengthOf(
        yield* sql`
          SELECT FROM refresh_tokens WHERE id = ${strange.id} AND revoked_at IS NOT NULL`,
        1,
      )
    }))

  it.effect("wait for a token that another transaction holds, without holding up others", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const held = yield* aSavedToken()
      const [opener, ...free] = yield* savedTokens
      const lock = sql`SELECT FROM refresh_tokens WHERE id = ${held.id} FOR UPDATE`

      const waiting = yield* whileHeld(
        lock,
        Effect.gen(function* () {
          const revoke = (hashes: typeof held.tokenHash) => Effect.forkChild(tokens.revoke(hashes))
          yield* revoke(opener?.tokenHash ?? aTokenHash())
          const waiting = yield* revoke(held.tokenHash)
          yield* Fiber.joinAll(yield* Effect.forEach(free, ({ tokenHash }) => revoke(tokenHash)))
          assert.isUndefined(waiting.pollUnsafe())
          return waiting
        }),
      )
      assert.strictEqual((yield* Fiber.join(waiting)).id, held.id)
    }))
})
