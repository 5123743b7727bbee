import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { aSuccessor } from "../support/factories.ts"
import { aSavedAttempt, aSavedToken, aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** Which of the tokens are still there. */
const remaining = Effect.fnUntraced(function* (tokens: ReadonlyArray<{ readonly id: string }>) {
  const sql = yield* SqlClient.SqlClient
  const ids = tokens.map(({ id }) => id)
  const rows = yield* sql<{ id: string }>`
    SELECT id FROM refresh_tokens WHERE id = ANY(${ids}::uuid[]) UNION ALL
    SELECT id FROM login_attempts WHERE id = ANY(${ids}::uuid[])`
  const found = new Set(rows.map(({ id }) => id))
  return ids.map((id) => found.has(id))
})

/** A token that expired that long ago, by the clock of the transaction it is made in. */
const aTokenExpired = Effect.fnUntraced(function* (age: string) {
  const sql = yield* SqlClient.SqlClient
  const token = yield* aSavedToken()
  yield* sql`
    UPDATE refresh_tokens SET expires_at = date_trunc('milliseconds', now()) - ${age}::interval
    WHERE id = ${token.id}`
  return token
})

const anAttemptMade = Effect.fnUntraced(function* (age: string) {
  const sql = yield* SqlClient.SqlClient
  const attempt = yield* aSavedAttempt()
  yield* sql`
    UPDATE login_attempts SET attempted_at = date_trunc('milliseconds', now()) - ${age}::interval
    WHERE id = ${attempt.id}`
  return attempt
})

/** In one transaction the database's clock stands still, so boundaries can be hit exactly. */
const atOneInstant = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  SqlClient.SqlClient.use((sql) => sql.withTransaction(test))

layer(TestDatabase.layerRepositories)("RefreshTokenRepository.deleteExpired", (it) => {
  it.effect("deletes what expired at least so many days of 24 hours ago, and counts it", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      yield* tokens.deleteExpired(3)
      const saved = [
        yield* aTokenExpired("72 hours"),
        yield* aTokenExpired("71:59:59.999"),
        yield* aTokenExpired("100 days"),
      ]
      const deleted = yield* tokens.deleteExpired(3)

      assert.strictEqual(deleted, 2)
      assert.deepStrictEqual(yield* remaining(saved), [false, true, false])
    }).pipe(atOneInstant))

  it.effect("keeps seven days by default", () =>
    Effect.gen(function* () {
      const saved = [yield* aTokenExpired("168 hours"), yield* aTokenExpired("167:59:59.999")]
      yield* (yield* RefreshTokenRepository).deleteExpired()
      assert.deepStrictEqual(yield* remaining(saved), [false, true])
    }).pipe(atOneInstant))

  it.effect("with 0 days deletes all that has expired and nothing that has not", () =>
    Effect.gen(function* () {
      const saved = [yield* aTokenExpired("0"), yield* aTokenExpired("-1 millisecond")]
      yield* (yield* RefreshTokenRepository).deleteExpired(0)
      assert.deepStrictEqual(yield* remaining(saved), [false, true])
    }).pipe(atOneInstant))

  it.effect("keeps a rotated and a revoked token that have not expired", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const rotated = yield* aSavedToken()
      const successor = yield* tokens.rotate(rotated.tokenHash, aSuccessor())
      const revoked = yield* aSavedToken()
      yield* tokens.revoke(revoked.tokenHash)

      yield* tokens.deleteExpired(0)
      assert.deepStrictEqual(yield* remaining([rotated, successor, revoked]), [true, true, true])
    }))

  it.effect("keeps reuse visible when it deletes the successor", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const rotated = yield* aSavedToken()
      const successor = yield* tokens.rotate(rotated.tokenHash, aSuccessor())
      // Stored to the nearest millisecond, now would still be to come for half of one.
      yield* sql`
        UPDATE refresh_tokens SET expires_at = now() - interval '1 ms' WHERE id = ${successor.id}`

      yield* tokens.deleteExpired(0)

      assert.deepStrictEqual(yield* remaining([rotated, successor]), [true, false])
      const error = yield* tokens.rotate(rotated.tokenHash, aSuccessor()).pipe(Effect.flip)
      assert.strictEqual(error._tag, "RefreshTokenReused")
    }))

  it.effect("deletes more than one batch, and counts all of it", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* aSavedUser()
      yield* tokens.deleteExpired(0)
      yield* sql`
        INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
        SELECT ${id}, ${id} || number, now() - interval '1 day'
        FROM generate_series(1, 4500) AS number`

      assert.strictEqual(yield* tokens.deleteExpired(0), 4_500)
      assert.strictEqual(yield* tokens.deleteExpired(0), 0)
    }))

  it.effect("counts each token once when two clean up at once", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* aSavedUser()
      yield* tokens.deleteExpired(0)
      yield* sql`
        INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
        SELECT ${id}, ${id} || number, now() - interval '1 day'
        FROM generate_series(1, 4500) AS number`

      const counts = yield* Effect.all([tokens.deleteExpired(0), tokens.deleteExpired(0)], {
        concurrency: "unbounded",
      })
      const rest = yield* tokens.deleteExpired(0)
      assert.strictEqual((counts[0] ?? 0) + (counts[1] ?? 0) + rest, 4_500)
    }))
})

layer(TestDatabase.layerRepositories)("LoginAttemptRepository.deleteOld", (it) => {
  it.effect("deletes what was tried at least so many days of 24 hours ago, and counts it", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      yield* attempts.deleteOld(3)
      const saved = [
        yield* anAttemptMade("72 hours"),
        yield* anAttemptMade("71:59:59.999"),
        yield* anAttemptMade("200 days"),
      ]
      const deleted = yield* attempts.deleteOld(3)

      assert.strictEqual(deleted, 2)
      assert.deepStrictEqual(yield* remaining(saved), [false, true, false])
    }).pipe(atOneInstant))

  it.effect("keeps ninety days by default", () =>
    Effect.gen(function* () {
      const saved = [yield* anAttemptMade("2160 hours"), yield* anAttemptMade("2159:59:59.999")]
      yield* (yield* LoginAttemptRepository).deleteOld()
      assert.deepStrictEqual(yield* remaining(saved), [false, true])
    }).pipe(atOneInstant))

  it.effect("with 0 days deletes all there are, and with 36,500 none", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const saved = [yield* anAttemptMade("1 ms"), yield* anAttemptMade("36499 days")]

      assert.strictEqual(yield* attempts.deleteOld(36_500), 0)
      assert.deepStrictEqual(yield* remaining(saved), [true, true])
      yield* attempts.deleteOld(0)
      assert.deepStrictEqual(yield* remaining(saved), [false, false])
    }))

  it.effect("counts a day as 24 hours where the clocks change", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`SET LOCAL TIME ZONE 'Europe/Berlin'`
      const saved = [yield* anAttemptMade("8640 hours"), yield* anAttemptMade("8639:59:59.999")]
      yield* (yield* LoginAttemptRepository).deleteOld(360)
      assert.deepStrictEqual(yield* remaining(saved), [false, true])
    }).pipe(atOneInstant))
})
