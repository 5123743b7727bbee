import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Option, Result } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../../src/domain/User.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { blockedSession, tokensElsewhere } from "../../support/elsewhere.ts"
import { aSuccessor, aToken, aTokenHash, aUserId } from "../../support/factories.ts"
import { anExpiredToken, aSavedToken, aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** A user with three valid tokens, and one of each other kind. */
const aUserWithTokens = Effect.gen(function* () {
  const tokens = yield* RefreshTokenRepository
  const { id: userId } = yield* aSavedUser()
  const spent = yield* aSavedToken({ userId })
  const live = [
    yield* aSavedToken({ userId }),
    yield* aSavedToken({ userId }),
    yield* tokens.rotate(spent.tokenHash, aSuccessor()),
  ] as const
  const expired = yield* anExpiredToken({ userId })
  const { tokenHash } = yield* aSavedToken({ userId })
  const revoked = yield* tokens.revoke(tokenHash)
  return { userId, live, expired, revoked, spent }
})

type Mine = Effect.Success<typeof aUserWithTokens>

const liveTokensOf = (userId: UserId) =>
  RefreshTokenRepository.use((tokens) => tokens.listForUser(userId, { active: true, limit: 100 }))
    .pipe(Effect.map(({ items }) => items))

const refusalsOf = (
  results: ReadonlyArray<Result.Result<unknown, { readonly _tag: string }>>,
) => [...new Set(results.filter(Result.isFailure).map(({ failure }) => failure._tag))]

layer(TestDatabase.layerRepositories)("RefreshTokenRepository.revokeAllForUser", (it) => {
  it.effect("revokes the valid tokens of a user and counts them", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { userId, live } = yield* aUserWithTokens

      assert.strictEqual(yield* tokens.revokeAllForUser(userId), 3)

      assert.deepStrictEqual(yield* liveTokensOf(userId), [])
      for (const { tokenHash } of live) {
        const token = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
        assert.isNotNull(token.revokedAt)
        assert.isNull(token.successorId)
      }
    }))

  it.effect("leaves dead tokens as they are", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { userId, expired, revoked, spent } = yield* aUserWithTokens
      const spentBefore = yield* tokens.getByTokenHash(spent.tokenHash)

      yield* tokens.revokeAllForUser(userId)

      assert.deepStrictEqual(
        yield* tokens.getByTokenHash(expired.tokenHash),
        Option.some(expired),
      )
      assert.deepStrictEqual(
        yield* tokens.getByTokenHash(revoked.tokenHash),
        Option.some(revoked),
      )
      assert.deepStrictEqual(yield* tokens.getByTokenHash(spent.tokenHash), spentBefore)
    }))

  it.effect("leaves other users' tokens alone", () =>
    Effect.gen(function* () {
      const foreign = yield* aSavedToken()
      const { userId } = yield* aUserWithTokens

      yield* (yield* RefreshTokenRepository).revokeAllForUser(userId)
      assert.deepStrictEqual(yield* liveTokensOf(foreign.userId), [foreign])
    }))

  it.effect("counts nothing the second time, and lets new sign-ins live", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { userId } = yield* aUserWithTokens
      yield* tokens.revokeAllForUser(userId)

      assert.strictEqual(yield* tokens.revokeAllForUser(userId), 0)
      const signIn = yield* aSavedToken({ userId })
      assert.deepStrictEqual(yield* liveTokensOf(userId), [signIn])
    }))

  it.effect("spares the token that is excepted", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const { userId, live } = yield* aUserWithTokens

      const revoked = yield* tokens.revokeAllForUser(userId, { exceptTokenHash: live[1].tokenHash })
      assert.strictEqual(revoked, 2)
      assert.deepStrictEqual(yield* liveTokensOf(userId), [live[1]])
    }))

  it.effect("spares nothing for a dead, a foreign or an unknown token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const foreign = yield* aSavedToken()
      const exceptions = [
        (mine: Mine) => mine.expired.tokenHash,
        (mine: Mine) => mine.revoked.tokenHash,
        (mine: Mine) => mine.spent.tokenHash,
        () => foreign.tokenHash,
        aTokenHash,
      ]
      for (const exceptionOf of exceptions) {
        const mine = yield* aUserWithTokens
        const revoked = yield* tokens.revokeAllForUser(mine.userId, {
          exceptTokenHash: exceptionOf(mine),
        })
        assert.strictEqual(revoked, 3)
        assert.deepStrictEqual(yield* liveTokensOf(mine.userId), [])
      }
      assert.deepStrictEqual(yield* liveTokensOf(foreign.userId), [foreign])
    }))

  it.effect("for an unknown user is UserNotFound", () =>
    Effect.gen(function* () {
      const error = yield* (yield* RefreshTokenRepository).revokeAllForUser(aUserId()).pipe(
        Effect.flip,
      )
      assert.strictEqual(error._tag, "UserNotFound")
    }))

  it.effect("lets nothing slip in that is created or rotated beside it", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { id: userId } = yield* aSavedUser()
      const olds = yield* Effect.replicateEffect(aSavedToken({ userId }), 30)
      const writes = olds.flatMap(({ tokenHash }) => [
        Effect.result(tokens.create(aToken(userId))),
        Effect.result(tokens.rotate(tokenHash, aSuccessor())),
      ])

      const [before, revoked, after] = yield* Effect.all([
        Effect.all(writes.slice(0, 30), { concurrency: "unbounded" }),
        tokens.revokeAllForUser(userId),
        Effect.all(writes.slice(30), { concurrency: "unbounded" }),
      ], { concurrency: "unbounded" })

      // Of each of the thirty either it or its successor was alive at the revocation, which gave
      // its time to all of them. What is alive now must have been made after that.
      assert.isAtLeast(revoked, 30)
      const slipped = yield* sql`
        SELECT alive.id
        FROM refresh_tokens alive
        WHERE alive.user_id = ${userId} AND alive.revoked_at IS NULL
          AND alive.created_at < (
            SELECT max(revoked_at) FROM refresh_tokens
            WHERE user_id = ${userId} AND successor_id IS NULL
          )`
      assert.deepStrictEqual(slipped, [])
      assert.includeMembers(["RefreshTokenRevoked"], refusalsOf([...before, ...after]))
    }))
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "RefreshTokenRepository.revokeAllForUser in two sessions",
  (it) => {
    it.effect("waits for what makes tokens, and revokes those, not before they were made", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const elsewhere = yield* tokensElsewhere()
        const sql = yield* SqlClient.SqlClient
        const { tokenHash, userId } = yield* aSavedToken()

        const [revocation, ...made] = yield* Effect.gen(function* () {
          const successor = yield* tokens.rotate(tokenHash, aSuccessor())
          const revocation = yield* Effect.forkChild(elsewhere.revokeAllForUser(userId))
          yield* blockedSession
          return [revocation, successor, yield* tokens.create(aToken(userId))] as const
        }).pipe(sql.withTransaction)

        assert.strictEqual(yield* Fiber.join(revocation), 2)
        for (const { tokenHash, createdAt } of made) {
          const { revokedAt } = Option.getOrThrow(yield* tokens.getByTokenHash(tokenHash))
          assert.isNotNull(revokedAt)
          assert.isAtLeast(revokedAt.epochMilliseconds, createdAt.epochMilliseconds)
        }
      }))

    it.effect("makes a rotation wait that comes after it, and find the token revoked", () =>
      Effect.gen(function* () {
        const tokens = yield* RefreshTokenRepository
        const elsewhere = yield* tokensElsewhere()
        const sql = yield* SqlClient.SqlClient
        const { tokenHash, userId } = yield* aSavedToken()

        const rotation = yield* Effect.gen(function* () {
          yield* sql`SELECT id FROM users WHERE id = ${userId} FOR UPDATE`
          const rotation = yield* Effect.forkChild(
            Effect.flip(elsewhere.rotate(tokenHash, aSuccessor())),
          )
          yield* blockedSession
          // Fails if the rotation already holds the token: the two would wait for each other.
          yield* sql`
            SELECT id FROM refresh_tokens WHERE token_hash = ${tokenHash} FOR UPDATE NOWAIT`
          assert.strictEqual(yield* tokens.revokeAllForUser(userId), 1)
          return rotation
        }).pipe(sql.withTransaction)

        assert.strictEqual((yield* Fiber.join(rotation))._tag, "RefreshTokenRevoked")
        assert.deepStrictEqual(yield* liveTokensOf(userId), [])
      }))
  },
)

layer(TestDatabase.layerRepositories)("the deletion of a user beside creations", (it) => {
  it.effect("leaves no token", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { id: userId } = yield* aSavedUser()
      const olds = yield* Effect.replicateEffect(aSavedToken({ userId }), 30)
      const writes = olds.flatMap(({ tokenHash }) => [
        Effect.result(tokens.create(aToken(userId))),
        Effect.result(tokens.rotate(tokenHash, aSuccessor())),
      ])

      const [before, , after] = yield* Effect.all([
        Effect.all(writes.slice(0, 30), { concurrency: "unbounded" }),
        (yield* UserRepository).delete(userId),
        Effect.all(writes.slice(30), { concurrency: "unbounded" }),
      ], { concurrency: "unbounded" })

      const rows = yield* sql`SELECT id FROM refresh_tokens WHERE user_id = ${userId}`
      assert.deepStrictEqual(rows, [])
      assert.includeMembers(
        ["UserNotFound", "RefreshTokenNotFound"],
        refusalsOf([...before, ...after]),
      )
      const late = yield* tokens.create(aToken(userId)).pipe(Effect.flip)
      assert.strictEqual(late._tag, "UserNotFound")
    }))
})
