import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { RefreshToken, TokenHash } from "../../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { anIpAddress, aToken, aTokenHash, aUserId } from "../../support/factories.ts"
import { anExpiredToken, aSavedToken, aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

layer(TestDatabase.layerRepositories)("RefreshTokenRepository.create", (it) => {
  it.effect("creates a token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { id } = yield* aSavedUser()
      const input = aToken(id, { userAgent: "Mozilla/5.0", ipAddress: anIpAddress("2001:DB8::1") })

      const token = yield* tokens.create(input)

      assert.strictEqual(token.userId, id)
      assert.strictEqual(token.tokenHash, input.tokenHash)
      assert.isTrue(DateTime.Equivalence(token.expiresAt, input.expiresAt))
      assert.strictEqual(token.userAgent, "Mozilla/5.0")
      assert.strictEqual(token.ipAddress, "2001:db8::1")
      assert.isNull(token.revokedAt)
      assert.isNull(token.successorId)
      assert.isTrue(token.wasValid)
      assert.deepStrictEqual(
        yield* tokens.getByTokenHash(input.tokenHash),
        Option.some(token),
      )
    }))

  it.effect("for an unknown user is UserNotFound", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const input = aToken(aUserId())

      const error = yield* tokens.create(input).pipe(Effect.flip)

      assert.strictEqual(error._tag, "UserNotFound")
      assert.isTrue(Option.isNone(yield* tokens.getByTokenHash(input.tokenHash)))
    }))

  it.effect("refuses a hash that is taken, also by another user's or a dead token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { tokenHash } = yield* anExpiredToken()
      const { id } = yield* aSavedUser()

      const error = yield* tokens.create(aToken(id, { tokenHash })).pipe(Effect.flip)
      assert.strictEqual(error._tag, "TokenHashTaken")
    }))

  it.effect("takes hashes that differ only by case for different ones", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* aSavedToken()
      const other = yield* aSavedToken({ tokenHash: TokenHash.make(tokenHash.toUpperCase()) })
      assert.notStrictEqual(other.tokenHash, tokenHash)
    }))

  it.effect("keeps the extreme instants of RFC 3339", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const last = "9999-12-31T23:59:59.999Z"
      const { id, tokenHash, expiresAt } = yield* aSavedToken({
        expiresAt: DateTime.makeUnsafe(last),
      })
      assert.strictEqual(DateTime.formatIso(expiresAt), last)

      // Long over, so only time itself could bring it about through the repository.
      const first = "0001-01-01T00:00:00.000Z"
      yield* sql`UPDATE refresh_tokens SET expires_at = ${first}::timestamptz WHERE id = ${id}`
      const found = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
      assert.strictEqual(DateTime.formatIso(found.expiresAt), first)
    }))
})

layer(TestDatabase.layerRepositories)("RefreshTokenRepository's look-ups", (it) => {
  it.effect("find no token by an unknown hash", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      assert.isTrue(Option.isNone(yield* tokens.getByTokenHash(aTokenHash())))
      assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(aTokenHash())))
    }))

  it.effect("give a valid token", () =>
    Effect.gen(function* () {
      const token = yield* aSavedToken()
      const found = yield* (yield* RefreshTokenRepository).getValidByTokenHash(token.tokenHash)
      assert.deepStrictEqual(found, Option.some(token))
    }))

  it.effect("give no valid token when it has expired", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { tokenHash } = yield* anExpiredToken()

      assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(tokenHash)))
      const found = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
      assert.isFalse(found.wasValid)
    }))

  it.effect("give no valid token when it was revoked", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { tokenHash } = yield* aSavedToken()
      yield* tokens.revoke(tokenHash)

      assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(tokenHash)))
      const found = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
      assert.isFalse(found.wasValid)
    }))

  it.effect("agree with the database's clock to the microsecond", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { tokenHash } = yield* aSavedToken()
      const validAt = (expiry: string) =>
        Effect.gen(function* () {
          yield* sql`
            UPDATE refresh_tokens SET expires_at = ${sql.literal(expiry)}
            WHERE token_hash = ${tokenHash}`
          const { wasValid } = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
          const found = yield* tokens.getValidByTokenHash(tokenHash)
          assert.strictEqual(Option.isSome(found), wasValid)
          return wasValid
        })

      // now() stands still in a transaction; the column keeps milliseconds, so these two are the
      // last that is over and the first that is not.
      const valid = yield* Effect.all([
        validAt("date_trunc('milliseconds', now())"),
        validAt("date_trunc('milliseconds', now()) + interval '1 ms'"),
      ]).pipe(sql.withTransaction)
      assert.deepStrictEqual(valid, [false, true])
    }))
})

layer(TestDatabase.layerRepositories)("RefreshTokenRepository.revoke", (it) => {
  it.effect("revokes a token", () =>
    Effect.gen(function* () {
      const token = yield* aSavedToken()
      const revoked = yield* (yield* RefreshTokenRepository).revoke(token.tokenHash)

      assert.isNotNull(revoked.revokedAt)
      assert.isFalse(revoked.wasValid)
      assert.deepStrictEqual(
        { ...revoked },
        { ...token, revokedAt: revoked.revokedAt, revokedReason: "logout", wasValid: false },
      )
    }))

  it.effect("keeps the first time when it happens twice", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { tokenHash } = yield* aSavedToken()
      yield* tokens.revoke(tokenHash)
      yield* sql`
        UPDATE refresh_tokens SET revoked_at = revoked_at - interval '1 hour'
        WHERE token_hash = ${tokenHash}`
      const first = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))

      const again = yield* tokens.revoke(tokenHash)
      assert.deepStrictEqual(again, first)
    }))

  it.effect("revokes an expired token too", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* anExpiredToken()
      const { revokedAt } = yield* (yield* RefreshTokenRepository).revoke(tokenHash)
      assert.isNotNull(revokedAt)
    }))

  it.effect("of an unknown token is RefreshTokenNotFound", () =>
    Effect.gen(function* () {
      const error = yield* (yield* RefreshTokenRepository).revoke(aTokenHash()).pipe(Effect.flip)
      assert.strictEqual(error._tag, "RefreshTokenNotFound")
    }))
})

layer(TestDatabase.layerRepositories)("the deletion of a user", (it) => {
  it.effect("deletes that user's tokens and nobody else's", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const mine = yield* aSavedToken()
      const foreign = yield* aSavedToken()

      yield* (yield* UserRepository).delete(mine.userId)

      assert.isTrue(Option.isNone(yield* tokens.getByTokenHash(mine.tokenHash)))
      assert.deepStrictEqual(
        yield* tokens.getByTokenHash(foreign.tokenHash),
        Option.some(foreign),
      )
    }))
})

layer(TestDatabase.layerRepositories)("a stored refresh token", (it) => {
  it.effect("is encoded for clients without what only the service needs", () =>
    Effect.gen(function* () {
      const token = yield* aSavedToken()
      const json = yield* Schema.encodeEffect(RefreshToken.json)(token)
      assert.deepStrictEqual(Object.keys(json).sort(), [
        "createdAt",
        "expiresAt",
        "id",
        "ipAddress",
        "revokedAt",
        "revokedReason",
        "sessionExpiresAt",
        "sessionId",
        "signedInAt",
        "tokenHash",
        "userAgent",
        "userId",
      ])
    }))
})
