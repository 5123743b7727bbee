import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { RefreshToken, TokenHash } from "../../../src/domain/RefreshToken.ts"
import type { UserId } from "../../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { outcomes, whileHeld } from "../../support/atOnce.ts"
import { eventually } from "../../support/EmbeddedServer.ts"
import { anAttempt, aSuccessor, aToken, aUser } from "../../support/factories.ts"
import { aSavedToken, aSavedUser } from "../../support/saved.ts"
import { Statements } from "../../support/Statements.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const several = Array.from({ length: 20 })

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)), {
  excludeTestServices: true,
})("writes at once", (it) => {
  it.effect("wait for a user whom another transaction holds, without holding up others", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      const held = yield* aSavedUser()
      const heldToken = yield* aSavedToken({ userId: held.id })
      const free = yield* aSavedUser()
      const freeTokens = yield* Effect.forEach(several, () => aSavedToken({ userId: free.id }))
      const writesFor = (userId: UserId, tokenHash: TokenHash) => [
        tokens.create(aToken(userId)),
        attempts.create(anAttempt({ userId })),
        tokens.rotate(tokenHash, aSuccessor()),
      ]
      const begin = (userId: UserId, hashes: ReadonlyArray<TokenHash>) =>
        Effect.forEach(
          hashes.flatMap((hash) => writesFor(userId, hash)),
          (write) => Effect.forkChild(write, { startImmediately: true }),
        )

      const waiting = yield* whileHeld(
        sql`SELECT FROM users WHERE id = ${held.id} FOR UPDATE`,
        Effect.gen(function* () {
          const [first, ...others] = freeTokens.map(({ tokenHash }) => tokenHash)
          // The first of each kind goes alone, the rest in one group.
          const alone = yield* begin(free.id, first === undefined ? [] : [first])
          const waiting = yield* begin(held.id, [heldToken.tokenHash])
          const passing = yield* begin(free.id, others)
          yield* Fiber.joinAll([...alone, ...passing])
          for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe())
          return waiting
        }),
      )
      const rows = yield* Fiber.joinAll(waiting)
      assert.deepStrictEqual(rows.map(({ userId }) => userId), Array(3).fill(held.id))
    }))

  it.effect("wait for a token that another transaction holds, without holding up others", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const held = yield* aSavedToken()
      const [first, ...others] = yield* Effect.forEach(several, () => aSavedToken())
      const rotate = ({ tokenHash }: RefreshToken) =>
        Effect.forkChild(tokens.rotate(tokenHash, aSuccessor()), { startImmediately: true })

      const waiting = yield* whileHeld(
        sql`SELECT FROM refresh_tokens WHERE id = ${held.id} FOR UPDATE`,
        Effect.gen(function* () {
          const alone = yield* Effect.forEach(first === undefined ? [] : [first], rotate)
          const waiting = yield* rotate(held)
          const passing = yield* Effect.forEach(others, rotate)
          yield* Fiber.joinAll([...alone, ...passing])
          assert.isUndefined(waiting.pollUnsafe())
          return waiting
        }),
      )
      assert.strictEqual((yield* Fiber.join(waiting)).userId, held.userId)
    }))

  it.effect("are an outage for each caller when their connection is lost, and not tried again", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const { counted } = yield* Statements
      const wanted = several.map(() => aUser())
      const waiting = sql`
        SELECT pid
        FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`

      const found = yield* whileHeld(
        sql`LOCK TABLE users IN EXCLUSIVE MODE`,
        Effect.gen(function* () {
          const creating = yield* Effect.forkChild(
            outcomes(wanted.map((user) => users.create(user))),
          )
          // The first, alone, and the others in two groups.
          yield* eventually(Effect.map(waiting, ({ length }) => length === 3))
          const [statements, found] = yield* counted(Effect.andThen(
            sql`SELECT pg_terminate_backend(pid) FROM (${waiting}) AS waiting`,
            Fiber.join(creating),
          ))
          assert.strictEqual(statements, 1)
          return found
        }),
      )
      assert.deepStrictEqual(found, wanted.map(() => "DatabaseUnavailable"))
      const emails = wanted.map(({ email }) => email)
      assert.deepStrictEqual(yield* sql`SELECT FROM users WHERE email = ANY(${emails})`, [])
    }))
})
