import { assert, layer } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { SqlClient } from "effect/sql"
import type { TokenHash } from "../../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { anIpAddress, aSuccessor, aTokenHash, inOneDay } from "../../support/factories.ts"
import { anExpiredToken, aSavedToken } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** A token and what it was rotated to; the same pair again is `replay`. */
const aRotation = Effect.fnUntraced(function* () {
  const tokens = yield* RefreshTokenRepository
  const old = yield* aSavedToken()
  const input = aSuccessor()
  const successor = yield* tokens.rotate(old.tokenHash, input)
  return { old, successor, input, replay: tokens.rotate(old.tokenHash, input) }
})

/** Stored to the nearest millisecond, now would still be to come for half of one. */
const expire = (tokenHash: TokenHash) =>
  SqlClient.SqlClient.use((sql) =>
    sql`
      UPDATE refresh_tokens SET expires_at = now() - interval '1 ms' WHERE token_hash = ${tokenHash}`
  )

layer(TestDatabase.layerRepositories)("RefreshTokenRepository.rotate", (it) => {
  it.effect("revokes the old token and creates its successor for the same user", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const input = aSuccessor({ userAgent: "curl", ipAddress: anIpAddress("192.0.2.7") })

      const successor = yield* tokens.rotate(old.tokenHash, input)

      assert.strictEqual(successor.userId, old.userId)
      assert.strictEqual(successor.tokenHash, input.tokenHash)
      assert.strictEqual(successor.userAgent, "curl")
      assert.strictEqual(successor.ipAddress, "192.0.2.7")
      assert.isNull(successor.revokedAt)
      assert.isTrue(successor.wasValid)
      assert.deepStrictEqual(
        yield* tokens.getValidByTokenHash(input.tokenHash),
        Option.some(successor),
      )
      const spent = Option.getOrThrow(yield* tokens.getByTokenHash(old.tokenHash))
      assert.isNotNull(spent.revokedAt)
      assert.strictEqual(spent.successorId, successor.id)
      assert.isFalse(spent.wasValid)
    }))

  it.effect("answers a lost answer again while the successor lives", () =>
    Effect.gen(function* () {
      const { old, successor, replay } = yield* aRotation()
      const spent = yield* (yield* RefreshTokenRepository).getByTokenHash(old.tokenHash)

      assert.deepStrictEqual(yield* replay, successor)
      assert.deepStrictEqual(
        yield* (yield* RefreshTokenRepository).getByTokenHash(old.tokenHash),
        spent,
      )
    }))

  it.effect("reports reuse when a rotated token is rotated onto another one", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { old, successor } = yield* aRotation()

      const error = yield* tokens.rotate(old.tokenHash, aSuccessor()).pipe(Effect.flip)

      assert.strictEqual(error._tag, "RefreshTokenReused")
      assert.deepStrictEqual(
        yield* tokens.getValidByTokenHash(successor.tokenHash),
        Option.some(successor),
        "reuse is reported, not punished",
      )
    }))

  it.effect("reports reuse for the same pair once the successor was rotated", () =>
    Effect.gen(function* () {
      const { successor, replay } = yield* aRotation()
      yield* (yield* RefreshTokenRepository).rotate(successor.tokenHash, aSuccessor())

      assert.strictEqual((yield* Effect.flip(replay))._tag, "RefreshTokenReused")
    }))

  it.effect("reports a revocation for the same pair once the successor was revoked", () =>
    Effect.gen(function* () {
      const { successor, replay } = yield* aRotation()
      yield* (yield* RefreshTokenRepository).revoke(successor.tokenHash)

      assert.strictEqual((yield* Effect.flip(replay))._tag, "RefreshTokenRevoked")
    }))

  it.effect("reports a revocation for the same pair after a logout everywhere", () =>
    Effect.gen(function* () {
      const { old, replay } = yield* aRotation()
      yield* (yield* RefreshTokenRepository).revokeAllForUser(old.userId)

      assert.strictEqual((yield* Effect.flip(replay))._tag, "RefreshTokenRevoked")
    }))

  it.effect("reports expiry for the same pair once the successor has expired", () =>
    Effect.gen(function* () {
      const { successor, replay } = yield* aRotation()
      yield* expire(successor.tokenHash)

      assert.strictEqual((yield* Effect.flip(replay))._tag, "RefreshTokenExpired")
    }))

  it.effect("still reports reuse of another pair when the successor is revoked or expired", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const first = yield* aRotation()
      yield* tokens.revoke(first.successor.tokenHash)
      const second = yield* aRotation()
      yield* expire(second.successor.tokenHash)

      for (const { old } of [first, second]) {
        const error = yield* tokens.rotate(old.tokenHash, aSuccessor()).pipe(Effect.flip)
        assert.strictEqual(error._tag, "RefreshTokenReused")
      }
    }))

  it.effect("still reports reuse when the successor was cleaned up", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { old, successor, replay } = yield* aRotation()
      yield* sql`DELETE FROM refresh_tokens WHERE id = ${successor.id}`

      const another = yield* tokens.rotate(old.tokenHash, aSuccessor()).pipe(Effect.flip)
      assert.strictEqual(another._tag, "RefreshTokenReused")
      assert.strictEqual((yield* Effect.flip(replay))._tag, "RefreshTokenReused")
    }))

  it.effect("refuses a token that a logout revoked, without crying theft", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { tokenHash } = yield* aSavedToken()
      yield* tokens.revoke(tokenHash)
      const successor = aSuccessor()

      const error = yield* tokens.rotate(tokenHash, successor).pipe(Effect.flip)

      assert.strictEqual(error._tag, "RefreshTokenRevoked")
      assert.isTrue(Option.isNone(yield* tokens.getByTokenHash(successor.tokenHash)))
    }))

  it.effect("refuses an expired token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { tokenHash } = yield* anExpiredToken()
      const successor = aSuccessor()

      const error = yield* tokens.rotate(tokenHash, successor).pipe(Effect.flip)

      assert.strictEqual(error._tag, "RefreshTokenExpired")
      assert.isTrue(Option.isNone(yield* tokens.getByTokenHash(successor.tokenHash)))
      const old = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
      assert.isNull(old.revokedAt)
    }))

  it.effect("refuses an unknown token", () =>
    Effect.gen(function* () {
      const error = yield* (yield* RefreshTokenRepository).rotate(aTokenHash(), aSuccessor()).pipe(
        Effect.flip,
      )
      assert.strictEqual(error._tag, "RefreshTokenNotFound")
    }))

  it.effect("refuses to rotate a token onto itself, and leaves it valid", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()

      const error = yield* tokens.rotate(old.tokenHash, aSuccessor({ tokenHash: old.tokenHash }))
        .pipe(Effect.flip)

      assert.strictEqual(error._tag, "SelfRotation")
      assert.deepStrictEqual(
        yield* tokens.getValidByTokenHash(old.tokenHash),
        Option.some(old),
      )
    }))

  it.effect("refuses a new hash that is taken, and leaves the old token valid", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const { tokenHash } = yield* aSavedToken()

      const error = yield* tokens.rotate(old.tokenHash, aSuccessor({ tokenHash })).pipe(Effect.flip)

      assert.strictEqual(error._tag, "TokenHashTaken")
      assert.deepStrictEqual(
        yield* tokens.getValidByTokenHash(old.tokenHash),
        Option.some(old),
      )
    }))

  it.effect("of a chain can be repeated only at its end", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const start = yield* aSavedToken()
      const inputs = [aSuccessor(), aSuccessor(), aSuccessor()]
      let { tokenHash } = start
      const pairs = []
      for (const input of inputs) {
        yield* tokens.rotate(tokenHash, input)
        pairs.push([tokenHash, input] as const)
        tokenHash = input.tokenHash
      }

      const replays = yield* Effect.forEach(
        pairs,
        ([from, to]) => Effect.result(tokens.rotate(from, to)),
      )
      assert.deepStrictEqual(
        replays.map((replay) => Result.isSuccess(replay) ? "answered" : replay.failure._tag),
        ["RefreshTokenReused", "RefreshTokenReused", "answered"],
      )
    }))
})

layer(TestDatabase.layerRepositories)("rotations beside each other", (it) => {
  it.effect("of one token onto fifty others have one winner", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()

      const results = yield* Effect.forEach(
        Array.from({ length: 50 }, () => aSuccessor()),
        (successor) => Effect.result(tokens.rotate(old.tokenHash, successor)),
        { concurrency: "unbounded" },
      )

      const winners = results.filter(Result.isSuccess)
      assert.lengthOf(winners, 1)
      assert.deepStrictEqual(
        new Set(results.filter(Result.isFailure).map(({ failure }) => failure._tag)),
        new Set(["RefreshTokenReused" as const]),
      )
      const { items } = yield* tokens.listForUser(old.userId, { active: true, limit: 100 })
      assert.deepStrictEqual(items, winners.map(({ success }) => success))
    }))

  it.effect("of the same pair all get the same successor", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const old = yield* aSavedToken()
      const successor = aSuccessor()

      const answers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => tokens.rotate(old.tokenHash, successor),
        { concurrency: "unbounded" },
      )

      assert.strictEqual(new Set(answers.map(({ id }) => id)).size, 1)
      const { items } = yield* tokens.listForUser(old.userId, { limit: 100 })
      assert.lengthOf(items, 2)
    }))

  it.effect("of two tokens onto one hash have one winner, and the other token stays valid", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const olds = [yield* aSavedToken(), yield* aSavedToken()]
      const successor = aSuccessor({ expiresAt: inOneDay() })

      const results = yield* Effect.forEach(
        olds,
        ({ tokenHash }) => Effect.result(tokens.rotate(tokenHash, successor)),
        { concurrency: "unbounded" },
      )

      assert.deepStrictEqual(
        results.map((result) => Result.isSuccess(result) ? "rotated" : result.failure._tag).sort(),
        ["TokenHashTaken", "rotated"],
      )
      const valid = yield* Effect.forEach(olds, (old) => tokens.getValidByTokenHash(old.tokenHash))
      assert.lengthOf(valid.filter(Option.isSome), 1)
    }))
})
