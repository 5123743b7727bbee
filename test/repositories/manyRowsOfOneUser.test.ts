import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** More than two batches of a deletion. */
const rows = 25_000

/** What years of use leave behind: expired, revoked and rotated tokens, attempts, 20 live tokens. */
const fill = (userId: UserId, email: string) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.gen(function* () {
      yield* sql`
        INSERT INTO refresh_tokens (user_id, token_hash, expires_at, revoked_at, successor_id)
        SELECT
          ${userId}, 'dead-' || number, now() + (number % 2 - 0.5) * interval '2 days',
          CASE WHEN number % 2 = 1 THEN now() END,
          CASE WHEN number % 4 = 1 THEN gen_random_uuid() END
        FROM generate_series(1, ${rows}::int) AS number`
      yield* sql`
        INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
        SELECT ${userId}, 'live-' || number, now() + interval '1 day'
        FROM generate_series(1, 20) AS number`
      yield* sql`
        INSERT INTO login_attempts (user_id, email, ip_address, success)
        SELECT ${userId}, ${email}, '192.0.2.1', false
        FROM generate_series(1, ${rows}::int)`
    })
  )

layer(TestDatabase.layerRepositories)("a user with very many rows", (it) => {
  it.effect("is logged out everywhere and deleted, and nobody else notices", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      const sql = yield* SqlClient.SqlClient
      const { id, email } = yield* aSavedUser()
      const other = yield* aSavedUser()
      yield* fill(id, email)

      const live = yield* tokens.listForUser(id, { active: true, limit: 100 })
      assert.lengthOf(live.items, 20)
      assert.lengthOf((yield* tokens.listSessions(id, { limit: 100 })).items, 20)
      assert.strictEqual(yield* tokens.revokeAllForUser(id), 20)
      assert.strictEqual(yield* tokens.revokeAllForUser(id), 0)

      const [, ...reads] = yield* Effect.all([
        users.delete(id),
        ...Array.from({ length: 20 }, () => users.getById(other.id)),
      ], { concurrency: "unbounded" })

      assert.deepStrictEqual(reads, reads.map(() => Option.some(other)))
      assert.isTrue(Option.isNone(yield* users.getById(id)))
      assert.deepStrictEqual(yield* sql`SELECT id FROM refresh_tokens WHERE user_id = ${id}`, [])
      assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), rows)
    }))
})
