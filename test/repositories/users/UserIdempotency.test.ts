import { assert, layer } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../../src/domain/Email.ts"
import { LoginAttemptId } from "../../../src/domain/LoginAttempt.ts"
import { RefreshTokenId } from "../../../src/domain/RefreshToken.ts"
import { User, UserId } from "../../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { anAttempt, anEmail, aToken, aUser, aUserId, oneDayAgo } from "../../support/factories.ts"
import { aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const twenty = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: 20 }), () => call, { concurrency: "unbounded" })

layer(TestDatabase.layerRepositories)("the idempotency key of a user", (it) => {
  it.effect("becomes the user's id, and the same call again gives the same user", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      const input = aUser()

      const first = yield* users.create(input, { idempotencyKey })
      const again = yield* users.create(input, { idempotencyKey })

      assert.strictEqual(first.id, idempotencyKey)
      assert.deepStrictEqual(again, first)
    }))

  it.effect("takes the same values for the same body, however they are written", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const decode = Schema.decodeUnknownEffect(User.insert)
      const decodeKey = Schema.decodeEffect(UserId)
      const key = crypto.randomUUID()
      const email = anEmail()
      const bodies = [
        { email, authProvider: "email", passwordHash: "hash" },
        { passwordHash: "hash", isActive: true, googleId: null, authProvider: "email", email },
        { email, authProvider: "email", passwordHash: "hash", fullName: null },
      ]

      const ids = yield* Effect.forEach(bodies, (body, index) =>
        Effect.gen(function* () {
          const idempotencyKey = yield* decodeKey(index === 1 ? key.toUpperCase() : key)
          return (yield* users.create(yield* decode(body), { idempotencyKey })).id
        }))
      assert.deepStrictEqual(ids, [key, key, key].map((id) => UserId.make(id)))
    }))

  it.effect("is refused with any other body, and nothing is written", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      const input = aUser()
      const first = yield* users.create(input, { idempotencyKey })
      const others = [
        { ...input, email: anEmail() },
        { ...input, email: Email.make(input.email.toUpperCase()) },
        { ...input, fullName: "Ada" },
        { ...input, isActive: false },
        { ...input, emailVerifiedAt: oneDayAgo() },
        aUser(),
      ]

      for (const other of others) {
        const error = yield* users.create(other, { idempotencyKey }).pipe(Effect.flip)
        assert.strictEqual(error._tag, "IdempotencyKeyReused")
      }
      assert.deepStrictEqual(yield* users.getById(idempotencyKey), Option.some(first))
      assert.isTrue(Option.isNone(yield* users.getByEmail(others[5]?.email ?? input.email)))
    }))

  it.effect("makes twenty calls at once one user and twenty equal answers", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      const input = aUser()

      const answers = yield* twenty(users.create(input, { idempotencyKey }))

      const stored = Option.getOrThrow(yield* users.getByEmail(input.email))
      assert.strictEqual(stored.id, idempotencyKey)
      assert.deepStrictEqual(answers, Array.from({ length: 20 }, () => stored))
    }))

  it.effect("is not held by a call that was refused", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      const { email } = yield* aSavedUser()
      const refused = yield* users.create(aUser({ email }), { idempotencyKey }).pipe(Effect.flip)
      assert.strictEqual(refused._tag, "EmailTaken")

      const { id } = yield* users.create(aUser(), { idempotencyKey })
      assert.strictEqual(id, idempotencyKey)
    }))

  it.effect("is free again, for another body too, when the user is deleted", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      yield* users.create(aUser(), { idempotencyKey })
      yield* users.delete(idempotencyKey)

      const other = aUser()
      const { id, email } = yield* users.create(other, { idempotencyKey })
      assert.strictEqual(id, idempotencyKey)
      assert.strictEqual(email, other.email)
    }))

  it.effect("cannot be the id of a user who was created without one", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const input = aUser()
      const { id } = yield* users.create(input)

      const error = yield* users.create(input, { idempotencyKey: id }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "IdempotencyKeyReused")
    }))

  it.effect("answers a late retry with the user as it is now, and undoes nothing", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      const input = aUser()
      yield* users.create(input, { idempotencyKey })
      const changed = yield* users.update(idempotencyKey, { email: anEmail(), isActive: false })

      const late = yield* users.create(input, { idempotencyKey })
      assert.deepStrictEqual(late, changed)
    }))

  it.effect("answers a late retry when another user has the address meanwhile", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const idempotencyKey = aUserId()
      const input = aUser()
      yield* users.create(input, { idempotencyKey })
      const moved = yield* users.update(idempotencyKey, { email: anEmail() })
      yield* users.create(aUser({ email: input.email }))

      assert.deepStrictEqual(yield* users.create(input, { idempotencyKey }), moved)
    }))

  it.effect("stands in the way of no other kind of row", () =>
    Effect.gen(function* () {
      const key = crypto.randomUUID()
      const user = yield* (yield* UserRepository).create(aUser(), {
        idempotencyKey: UserId.make(key),
      })
      const token = yield* (yield* RefreshTokenRepository).create(aToken(user.id), {
        idempotencyKey: RefreshTokenId.make(key),
      })
      const attempt = yield* (yield* LoginAttemptRepository).create(anAttempt(), {
        idempotencyKey: LoginAttemptId.make(key),
      })
      assert.deepStrictEqual<ReadonlyArray<string>>([user.id, token.id, attempt.id], [
        key,
        key,
        key,
      ])
    }))

  it.effect("keeps no trace in the row of a call without one", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* aSavedUser()
      const rows = yield* sql`SELECT idempotency_fingerprint AS trace FROM users WHERE id = ${id}`
      assert.deepStrictEqual(rows, [{ trace: null }])
    }))
})
