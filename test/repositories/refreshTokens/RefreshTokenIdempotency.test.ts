import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { NewRefreshToken } from "../../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { beforeStatement } from "../../support/beforeStatement.ts"
import { anIpAddress, aToken, aTokenHash, aTokenId, aUserId } from "../../support/factories.ts"
import { aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const twenty = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: 20 }), () => call, { concurrency: "unbounded" })

layer(TestDatabase.layerRepositories)("the idempotency key of a refresh token", (it) => {
  it.effect("takes the same values for the same body, however they are written", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const decode = Schema.decodeUnknownEffect(NewRefreshToken)
      const idempotencyKey = aTokenId()
      const { id: userId } = yield* aSavedUser()
      const tokenHash = aTokenHash()
      const bodies = [
        { userId, tokenHash, expiresAt: "2099-01-01T00:00:00Z", ipAddress: "::ffff:192.0.2.1" },
        {
          ipAddress: "192.0.2.1",
          userAgent: null,
          expiresAt: "2099-01-01T05:30:00.0009+05:30",
          tokenHash,
          userId: userId.toUpperCase(),
          sessionExpiresAt: null,
          userVersion: null,
          maxSessions: null,
          onLimit: null,
        },
      ]

      const answers = yield* Effect.forEach(
        bodies,
        (body) => Effect.flatMap(decode(body), (token) => tokens.create(token, { idempotencyKey })),
      )
      assert.deepStrictEqual(answers[0], answers[1])
      assert.strictEqual(answers[0]?.id, idempotencyKey)
    }))

  it.effect("never answers with a row that another request creates under it meanwhile", () =>
    Effect.forEach(Array.from({ length: 8 }).keys(), (index) =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const sql = yield* SqlClient.SqlClient
        const { id: userId } = yield* aSavedUser()
        const idempotencyKey = aTokenId()
        const create = tokens.create(aToken(userId), { idempotencyKey })
        const created = yield* create

        const answer = yield* beforeStatement(
          create,
          index,
          sql`DELETE FROM refresh_tokens WHERE id = ${idempotencyKey}`.pipe(
            Effect.andThen(tokens.create(aToken(userId), { idempotencyKey })),
          ),
        ).pipe(Effect.catch(({ _tag }) => Effect.succeed(_tag)))
        if (typeof answer === "string") assert.strictEqual(answer, "IdempotencyKeyReused")
        else assert.deepStrictEqual(answer, created)
      })))

  it.effect("is refused with any other body", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const idempotencyKey = aTokenId()
      const { id, version } = yield* aSavedUser()
      const input = aToken(id)
      yield* tokens.create(input, { idempotencyKey })
      const others = [
        { ...input, tokenHash: aTokenHash() },
        { ...input, expiresAt: DateTime.add(input.expiresAt, { milliseconds: 1 }) },
        { ...input, userId: (yield* aSavedUser()).id },
        { ...input, userId: aUserId() },
        { ...input, userAgent: "curl" },
        { ...input, ipAddress: anIpAddress() },
        { ...input, sessionExpiresAt: input.expiresAt },
        { ...input, userVersion: version },
        { ...input, maxSessions: 5 },
        { ...input, maxSessions: 5, onLimit: "refuse" as const },
      ]

      for (const other of others) {
        const error = yield* tokens.create(other, { idempotencyKey }).pipe(Effect.flip)
        assert.strictEqual(error._tag, "IdempotencyKeyReused")
      }
    }))

  it.effect("makes twenty calls at once one token and twenty equal answers", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const idempotencyKey = aTokenId()
      const { id } = yield* aSavedUser()
      const input = aToken(id)

      const answers = yield* twenty(tokens.create(input, { idempotencyKey }))

      const { items } = yield* tokens.listForUser(id, { limit: 100 })
      assert.lengthOf(items, 1)
      assert.deepStrictEqual(answers, Array.from({ length: 20 }, () => items[0] ?? answers[0]))
    }))

  it.effect("revives nothing with a late retry", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const idempotencyKey = aTokenId()
      const { id } = yield* aSavedUser()
      const input = aToken(id)
      yield* tokens.create(input, { idempotencyKey })
      const revoked = yield* tokens.revoke(input.tokenHash)

      assert.deepStrictEqual(yield* tokens.create(input, { idempotencyKey }), revoked)
      assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(input.tokenHash)))
    }))

  it.effect("does not bring back a token that went with its user", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const idempotencyKey = aTokenId()
      const { id } = yield* aSavedUser()
      const input = aToken(id)
      yield* tokens.create(input, { idempotencyKey })
      yield* (yield* UserRepository).delete(id)

      const error = yield* tokens.create(input, { idempotencyKey }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "UserNotFound")
    }))

  it.effect("cannot be the id of a token that was created without one", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { id } = yield* aSavedUser()
      const input = aToken(id)
      const { id: idempotencyKey } = yield* tokens.create(input)

      const error = yield* tokens.create(input, { idempotencyKey }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "IdempotencyKeyReused")
    }))
})
