import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Fiber, Option, Result } from "effect"
import { SqlClient } from "effect/sql"
import type { RefreshTokenId } from "../../../src/domain/RefreshToken.ts"
import type { UserId } from "../../../src/domain/User.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { outcomes, tagsOf, whileHeld } from "../../support/atOnce.ts"
import { eventually } from "../../support/EmbeddedServer.ts"
import { aSuccessor, aToken, aTokenId, aUserId, oneDayAgo } from "../../support/factories.ts"
import { anExpiredToken, aSavedToken, aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const expired = () => ({ expiresAt: oneDayAgo() })

const tagOf = <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(call), ({ _tag }) => _tag)

const isOver = (time: DateTime.Utc) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql`SELECT WHERE ${DateTime.formatIso(time)}::timestamptz < clock_timestamp()`,
      ({ length }) => length === 1,
    )
  )

/** What created a token that expires soon: in a second, or in more where the machine is busy. */
const createdWithLittleTime = Effect.fnUntraced(function* (
  userId: UserId,
  idempotencyKey: RefreshTokenId,
) {
  const tokens = yield* RefreshTokenRepository
  for (let seconds = 1;; seconds *= 2) {
    const input = aToken(userId, { expiresAt: DateTime.add(DateTime.nowUnsafe(), { seconds }) })
    const created = yield* Effect.result(tokens.create(input, { idempotencyKey }))
    if (Result.isSuccess(created)) return input
  }
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "RefreshTokenRepository.create with a time that is not in the future",
  (it) => {
    it.effect("stores nothing, alone or in a group, and stores the others of the group", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const { id } = yield* aSavedUser()
        const alone = aToken(id, expired())
        assert.strictEqual(yield* tagOf(tokens.create(alone)), "ExpiryNotInFuture")

        const group = Array.from(
          { length: 20 },
          (_, index) => aToken(id, index % 4 === 3 ? expired() : {}),
        )
        const found = yield* outcomes(group.map((token) => tokens.create(token)))
        assert.deepStrictEqual(
          tagsOf(found),
          group.map((_, index) => index % 4 === 3 ? "ExpiryNotInFuture" : "done"),
        )
        for (const { tokenHash, expiresAt } of [alone, ...group]) {
          const stored = yield* tokens.getByTokenHash(tokenHash)
          assert.strictEqual(
            Option.isSome(stored),
            DateTime.isGreaterThan(expiresAt, DateTime.nowUnsafe()),
          )
        }
      }))

    it.effect("is refused by the time at which the user's row could be had", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const tokens = yield* RefreshTokenRepository
        const { id } = yield* aSavedUser()
        const expiresAt = DateTime.add(DateTime.nowUnsafe(), { seconds: 1 })
        const creating = yield* whileHeld(
          sql`SELECT FROM users WHERE id = ${id} FOR UPDATE`,
          Effect.gen(function* () {
            const creating = yield* Effect.forkChild(tokens.create(aToken(id, { expiresAt })))
            yield* eventually(isOver(expiresAt))
            return creating
          }),
        )
        assert.strictEqual(yield* tagOf(Fiber.join(creating)), "ExpiryNotInFuture")
      }))

    it.effect("answers a repetition as then, though its time is over by now", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const { id } = yield* aSavedUser()
        const idempotencyKey = aTokenId()
        const input = yield* createdWithLittleTime(id, idempotencyKey)
        const other = aTokenId()
        yield* tokens.create(aToken(id), { idempotencyKey: other })
        yield* eventually(isOver(input.expiresAt))

        const again = yield* tokens.create(input, { idempotencyKey })
        assert.strictEqual(again.id, idempotencyKey)
        assert.isFalse(again.wasValid)
        assert.strictEqual(
          yield* tagOf(tokens.create(input, { idempotencyKey: other })),
          "IdempotencyKeyReused",
        )
        assert.strictEqual(
          yield* tagOf(tokens.create(aToken(id, expired()), { idempotencyKey: aTokenId() })),
          "ExpiryNotInFuture",
        )
      }))

    it.effect("comes after the user and before the hash", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const { userId, tokenHash } = yield* aSavedToken()
        const found = yield* outcomes([
          aToken(aUserId(), expired()),
          aToken(aUserId(), { ...expired(), tokenHash }),
          aToken(aUserId(), { tokenHash }),
          aToken(userId, { ...expired(), tokenHash }),
          aToken(userId, { tokenHash }),
        ].map((token) => tokens.create(token)))
        assert.deepStrictEqual(found, [
          "UserNotFound",
          "UserNotFound",
          "UserNotFound",
          "ExpiryNotInFuture",
          "TokenHashTaken",
        ])
      }))

    it.effect("leaves a transaction of the caller as it was", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const tokens = yield* RefreshTokenRepository
        const { id } = yield* aSavedUser()
        const stored = yield* Effect.gen(function* () {
          const tag = yield* tagOf(tokens.create(aToken(id, expired())))
          assert.strictEqual(tag, "ExpiryNotInFuture")
          return yield* tokens.create(aToken(id))
        }).pipe(sql.withTransaction)
        assert.deepStrictEqual(
          yield* tokens.getByTokenHash(stored.tokenHash),
          Option.some(stored),
        )
      }))
  },
)

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "RefreshTokenRepository.rotate with a time that is not in the future",
  (it) => {
    it.effect("leaves the token valid, alone or in a group", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const olds = yield* Effect.forEach(Array.from({ length: 21 }), () => aSavedToken())
        const isExpired = (index: number) => index % 4 === 0
        const found = yield* outcomes(olds.map(({ tokenHash }, index) =>
          tokens.rotate(tokenHash, aSuccessor(isExpired(index) ? expired() : {}))
        ))
        assert.deepStrictEqual(
          tagsOf(found),
          olds.map((_, index) =>
            isExpired(index) ? "ExpiryNotInFuture" : "done"
          ),
        )
        for (const [index, old] of olds.entries()) {
          const { items } = yield* tokens.listForUser(old.userId, { limit: 10 })
          assert.lengthOf(items, isExpired(index) ? 1 : 2)
          assert.strictEqual(items[0]?.wasValid, isExpired(index))
        }
      }))

    it.effect("answers a repetition as then", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const old = yield* aSavedToken()
        const successor = aSuccessor()
        const rotated = yield* tokens.rotate(old.tokenHash, successor)
        assert.deepStrictEqual(
          yield* tokens.rotate(old.tokenHash, { ...successor, ...expired() }),
          rotated,
        )
      }))

    it.effect("comes after the token's own state and before the hash", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const rotated = yield* aSavedToken()
        yield* tokens.rotate(rotated.tokenHash, aSuccessor())
        const revoked = yield* aSavedToken()
        yield* tokens.revoke(revoked.tokenHash)
        const over = yield* anExpiredToken()
        const valid = yield* aSavedToken()
        const { tokenHash } = yield* aSavedToken()
        const found = yield* Effect.forEach(
          [rotated.tokenHash, revoked.tokenHash, over.tokenHash, valid.tokenHash],
          (hash) => tagOf(tokens.rotate(hash, aSuccessor({ ...expired(), tokenHash }))),
        )
        assert.deepStrictEqual(found, [
          "RefreshTokenReused",
          "RefreshTokenRevoked",
          "RefreshTokenExpired",
          "ExpiryNotInFuture",
        ])
        assert.strictEqual(
          yield* tagOf(tokens.rotate(valid.tokenHash, aSuccessor({ tokenHash }))),
          "TokenHashTaken",
        )
      }))
  },
)
