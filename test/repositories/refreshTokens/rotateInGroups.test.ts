import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { RefreshToken } from "../../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { atOnce, few, outcomes, tagsOf } from "../../support/atOnce.ts"
import { tokensElsewhere } from "../../support/elsewhere.ts"
import { anIpAddress, aSuccessor, aToken, aTokenHash } from "../../support/factories.ts"
import { anExpiredToken, aSavedToken, aSavedUser } from "../../support/saved.ts"
import { Statements } from "../../support/Statements.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const several = Array.from({ length: 20 })

const savedTokens = Effect.forEach(several, () => aSavedToken())

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)), {
  excludeTestServices: true,
})("rotations of many tokens at once", (it) => {
  it.effect("are a few statements and commits, and each token gets its own successor", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const { counted } = yield* Statements
      const olds = yield* savedTokens
      const pairs = olds.map((old, index) =>
        [
          old,
          aSuccessor({ userAgent: `"${index}" \\ 😀`, ipAddress: anIpAddress("2001:db8::1") }),
        ] as const
      )

      const [statements, successors] = yield* counted(
        atOnce(pairs.map(([old, successor]) => tokens.rotate(old.tokenHash, successor))),
      )
      assert.isAtMost(statements, few)
      for (const [index, [old, given]] of pairs.entries()) {
        const successor = successors[index]
        const { tokenHash, expiresAt, userAgent, ipAddress } = successor ?? old
        assert.deepStrictEqual({ tokenHash, expiresAt, userAgent, ipAddress }, { ...given })
        assert.strictEqual(successor?.userId, old.userId)
        const spent = Option.getOrThrow(yield* tokens.getByTokenHash(old.tokenHash))
        assert.strictEqual(spent.successorId, successor?.id)
        assert.isFalse(spent.wasValid)
      }
      const [found] = yield* sql`
        SELECT count(DISTINCT xmin::text)::int AS commits
        FROM refresh_tokens
        WHERE id = ANY(${successors.map(({ id }) => id)}::uuid[])`
      assert.isAtMost(Number(found?.["commits"]), few)
    }))

  it.effect("among them fifty of one token, have one winner for that token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const contested = yield* aSavedToken()
      const others = yield* savedTokens
      const found = yield* outcomes(
        Array.from({ length: 50 }, (_, index) => {
          const other = others[index]
          return [
            tokens.rotate(contested.tokenHash, aSuccessor()),
            ...other === undefined ? [] : [tokens.rotate(other.tokenHash, aSuccessor())],
          ]
        }).flat(),
      )
      const successors = found.filter((outcome) => outcome instanceof RefreshToken)
      const winners = successors.filter(({ userId }) => userId === contested.userId)
      assert.lengthOf(winners, 1)
      assert.lengthOf(successors, 1 + others.length)
      assert.deepStrictEqual(
        tagsOf(found).filter((tag) => tag !== "done"),
        Array.from({ length: 49 }, () => "RefreshTokenReused"),
      )
      const { items } = yield* tokens.listForUser(contested.userId, { limit: 100 })
      assert.deepStrictEqual(items.map(({ id }) => id), [
        contested.id,
        ...winners.map(({ id }) => id),
      ])
    }))

  it.effect("are refused each for its own reason, and repeated where an answer was lost", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const good = yield* savedTokens
      const twice = yield* aSavedToken()
      const revoked = yield* aSavedToken()
      yield* tokens.revoke(revoked.tokenHash)
      const expired = yield* anExpiredToken()
      const rotated = yield* aSavedToken()
      const successor = aSuccessor()
      const answer = yield* tokens.rotate(rotated.tokenHash, successor)
      const same = aSuccessor()

      const found = yield* outcomes([
        ...good.map(({ tokenHash }) => tokens.rotate(tokenHash, aSuccessor())),
        tokens.rotate(twice.tokenHash, same),
        tokens.rotate(twice.tokenHash, same),
        tokens.rotate(rotated.tokenHash, successor),
        tokens.rotate(rotated.tokenHash, aSuccessor()),
        tokens.rotate(revoked.tokenHash, aSuccessor()),
        tokens.rotate(expired.tokenHash, aSuccessor()),
        tokens.rotate(aTokenHash(), aSuccessor()),
      ])
      assert.deepStrictEqual(tagsOf(found), [
        ...good.map(() => "done"),
        "done",
        "done",
        "done",
        "RefreshTokenReused",
        "RefreshTokenRevoked",
        "RefreshTokenExpired",
        "RefreshTokenNotFound",
      ])
      const [first, second, replayed] = found.slice(good.length)
      assert.deepStrictEqual(first, second)
      assert.deepStrictEqual(replayed, answer)
    }))

  it.effect("are done one by one where one of them is onto a hash that is taken", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const good = yield* savedTokens
      const old = yield* aSavedToken()
      const { tokenHash } = yield* aSavedToken()
      const pairs = good.map((token) => [token, aSuccessor()] as const)

      const found = yield* outcomes([
        ...pairs.map(([token, successor]) => tokens.rotate(token.tokenHash, successor)),
        tokens.rotate(old.tokenHash, aSuccessor({ tokenHash })),
        ...pairs.map(([token, successor]) => tokens.rotate(token.tokenHash, successor)),
      ])
      assert.strictEqual(found[good.length], "TokenHashTaken")
      assert.deepStrictEqual(tagsOf(found.slice(0, good.length)), good.map(() => "done"))
      assert.deepStrictEqual(found.slice(good.length + 1), found.slice(0, good.length))
      assert.isTrue(Option.isSome(yield* tokens.getValidByTokenHash(old.tokenHash)))
      for (const { userId } of good) {
        const { items } = yield* tokens.listForUser(userId, { active: true, limit: 100 })
        assert.lengthOf(items, 1)
      }
    }))
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("revoke-all", (it) => {
  it.effect("leaves no token alive that groups of creations and rotations slipped in beside it", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const elsewhere = yield* tokensElsewhere()
      let rotated = 0
      let refused = 0
      for (const _ of several) {
        const { id: userId } = yield* aSavedUser()
        const olds = yield* Effect.forEach(several, () => aSavedToken({ userId }))
        const bystanders = yield* savedTokens
        const [found, created] = yield* Effect.all([
          outcomes(olds.flatMap(({ tokenHash }, index) => [
            tokens.rotate(tokenHash, aSuccessor()),
            tokens.rotate(bystanders[index]?.tokenHash ?? aTokenHash(), aSuccessor()),
          ])),
          atOnce(olds.map(() => tokens.create(aToken(userId)))),
          elsewhere.revokeAllForUser(userId),
        ], { concurrency: "unbounded" })

        const { items: dead } = yield* tokens.listForUser(userId, { active: false, limit: 100 })
        const { items: live } = yield* tokens.listForUser(userId, { active: true, limit: 100 })
        const revokedAt = dead.flatMap(({ revokedAt, successorId }) =>
          successorId === null && revokedAt !== null ? [DateTime.toEpochMillis(revokedAt)] : []
        )
        const createdIds = new Set(created.map(({ id }) => id))
        for (const token of live) {
          assert.isTrue(createdIds.has(token.id), "a successor is alive")
          assert.isAtLeast(DateTime.toEpochMillis(token.createdAt), Math.max(...revokedAt))
        }
        const own = found.filter((_, index) => index % 2 === 0)
        rotated += own.filter((outcome) => typeof outcome !== "string").length
        refused += own.filter((outcome) => outcome === "RefreshTokenRevoked").length
        assert.deepStrictEqual(
          tagsOf(found.filter((_, index) => index % 2 === 1)),
          bystanders.map(() => "done"),
        )
      }
      assert.strictEqual(rotated + refused, 400)
    }))
})
