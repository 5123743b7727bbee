import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Database from "../../src/database/Database.ts"
import { RefreshToken } from "../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { outcomes, tagsOf } from "../support/atOnce.ts"
import { aSuccessor, aToken, aUser } from "../support/factories.ts"
import { aSavedToken, aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** The repositories of another service on the same database. */
const anotherService = Effect.gen(function* () {
  const { connection } = yield* TestDatabase
  const services = yield* Layer.build(
    Layer.fresh(Layer.merge(UserRepository.layer, RefreshTokenRepository.layer)).pipe(
      Layer.provide(Database.layer({ connection, maxConnections: 4 })),
    ),
  )
  return {
    users: Context.get(services, UserRepository),
    tokens: Context.get(services, RefreshTokenRepository),
  }
})

const many = Array.from({ length: 100 })

/** Of each two calls for the same thing, what became of both, sorted. */
const pairsOf = (here: ReadonlyArray<unknown>, there: ReadonlyArray<unknown>) =>
  tagsOf(here).map((tag, index) => [tag, tagsOf(there)[index] ?? ""].sort())

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("two services", (it) => {
  it.effect("that add the same users at once, in opposite orders, add each of them once", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const another = yield* anotherService
      const wanted = many.map(() => aUser())
      const [here, there] = yield* Effect.all([
        outcomes(wanted.map((user) => users.create(user))),
        outcomes(wanted.toReversed().map((user) => another.users.create(user))),
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(
        pairsOf(here, there.toReversed()),
        wanted.map(() => ["EmailTaken", "done"]),
      )
    }))

  it.effect("that add the same tokens at once, in opposite orders, add each of them once", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const another = yield* anotherService
      const { id } = yield* aSavedUser()
      const wanted = many.map(() => aToken(id))
      const [here, there] = yield* Effect.all([
        outcomes(wanted.map((token) => tokens.create(token))),
        outcomes(wanted.toReversed().map((token) => another.tokens.create(token))),
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(
        pairsOf(here, there.toReversed()),
        wanted.map(() => ["TokenHashTaken", "done"]),
      )
    }))

  it.effect("that rotate the same tokens at once have one winner for each", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const another = yield* anotherService
      const olds = yield* Effect.forEach(many, () => aSavedToken())
      const [here, there] = yield* Effect.all([
        outcomes(olds.map(({ tokenHash }) => tokens.rotate(tokenHash, aSuccessor()))),
        outcomes(
          olds.toReversed().map(({ tokenHash }) => another.tokens.rotate(tokenHash, aSuccessor())),
        ),
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(
        pairsOf(here, there.toReversed()),
        olds.map(() => ["RefreshTokenReused", "done"]),
      )
    }))

  it.effect("that rotate the same pairs at once get the same successors", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const another = yield* anotherService
      const olds = yield* Effect.forEach(many, () => aSavedToken())
      const pairs = olds.map(({ tokenHash }) => [tokenHash, aSuccessor()] as const)
      const [here, there] = yield* Effect.all([
        outcomes(pairs.map(([tokenHash, successor]) => tokens.rotate(tokenHash, successor))),
        outcomes(
          pairs.map(([tokenHash, successor]) => another.tokens.rotate(tokenHash, successor)),
        ),
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(there, here)
      assert.isTrue(here.every((outcome) => outcome instanceof RefreshToken))
    }))

  it.effect("that revoke and rotate the same tokens at once leave no token of their sessions alive", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const another = yield* anotherService
      const olds = yield* Effect.forEach(many, () => aSavedToken())
      const [rotated, revoked] = yield* Effect.all([
        outcomes(olds.map(({ tokenHash }) => tokens.rotate(tokenHash, aSuccessor()))),
        outcomes(olds.toReversed().map(({ tokenHash }) => another.tokens.revoke(tokenHash))),
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(tagsOf(revoked), olds.map(() => "done"))
      for (const outcome of tagsOf(rotated)) {
        assert.include(["done", "RefreshTokenRevoked"], outcome)
      }
      for (const { userId } of olds) {
        const { items } = yield* tokens.listForUser(userId, { active: true, limit: 100 })
        assert.deepStrictEqual(items, [])
      }
    }))
})
