import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { LoginAttempt } from "../../../src/domain/LoginAttempt.ts"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { anAttempt, anAttemptId, anEmail } from "../../support/factories.ts"
import { aSavedAttempt, aSavedUser } from "../../support/saved.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const twenty = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: 20 }), () => call, { concurrency: "unbounded" })

layer(TestDatabase.layerRepositories)("the idempotency key of a login attempt", (it) => {
  it.effect("makes the same call again the same attempt, counted once", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const idempotencyKey = anAttemptId()
      const input = anAttempt()

      const first = yield* attempts.create(input, { idempotencyKey })
      const again = yield* attempts.create(input, { idempotencyKey })

      assert.strictEqual(first.id, idempotencyKey)
      assert.deepStrictEqual(again, first)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email: input.email }), 1)
    }))

  it.effect("takes the same values for the same body, however they are written", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const decode = Schema.decodeUnknownEffect(LoginAttempt.insert)
      const idempotencyKey = anAttemptId()
      const { id } = yield* aSavedUser()
      const email = anEmail()
      const bodies = [
        { email, ipAddress: "2001:DB8:0:0::1", success: false, userId: id },
        {
          userId: id.toUpperCase(),
          userAgent: null,
          success: false,
          ipAddress: "2001:db8::1",
          email,
        },
      ]

      const answers = yield* Effect.forEach(
        bodies,
        (body) =>
          Effect.flatMap(decode(body), (attempt) => attempts.create(attempt, { idempotencyKey })),
      )
      assert.deepStrictEqual(answers[0], answers[1])
    }))

  it.effect("is refused with another body", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const idempotencyKey = anAttemptId()
      const input = anAttempt()
      yield* attempts.create(input, { idempotencyKey })

      for (const other of [{ ...input, success: true }, { ...input, failureReason: "locked" }]) {
        const error = yield* attempts.create(other, { idempotencyKey }).pipe(Effect.flip)
        assert.strictEqual(error._tag, "IdempotencyKeyReused")
      }
    }))

  it.effect("makes twenty calls at once one attempt and twenty equal answers", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const input = anAttempt()

      const answers = yield* twenty(attempts.create(input, { idempotencyKey: anAttemptId() }))
      assert.strictEqual(new Set(answers.map(({ id }) => id)).size, 1)
      assert.deepStrictEqual(answers, Array.from({ length: 20 }, () => answers[0] ?? answers[1]))
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email: input.email }), 1)
    }))

  it.effect("answers a late retry after the user was deleted, and writes nothing", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const idempotencyKey = anAttemptId()
      const { id, email } = yield* aSavedUser()
      const input = anAttempt({ userId: id, email })
      yield* attempts.create(input, { idempotencyKey })
      yield* (yield* UserRepository).delete(id)

      const late = yield* attempts.create(input, { idempotencyKey })
      assert.strictEqual(late.id, idempotencyKey)
      assert.isNull(late.userId)
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), 1)
    }))

  it.effect("is free again when the attempt was cleaned up", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const sql = yield* SqlClient.SqlClient
      const idempotencyKey = anAttemptId()
      yield* attempts.create(anAttempt(), { idempotencyKey })
      yield* sql`DELETE FROM login_attempts WHERE id = ${idempotencyKey}`

      const other = anAttempt({ success: true })
      const { id, success } = yield* attempts.create(other, { idempotencyKey })
      assert.strictEqual(id, idempotencyKey)
      assert.isTrue(success)
    }))

  it.effect("cannot be the id of an attempt that was created without one", () =>
    Effect.gen(function* () {
      const { id: idempotencyKey, email } = yield* aSavedAttempt()
      const error = yield* (yield* LoginAttemptRepository).create(anAttempt({ email }), {
        idempotencyKey,
      }).pipe(Effect.flip)
      assert.strictEqual(error._tag, "IdempotencyKeyReused")
    }))
})
