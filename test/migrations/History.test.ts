/**
 * A kit for each version that was ever released: rows that were written at a version are read back
 * through the repositories after migrating to the latest. A migration adds its number to `kits`, with
 * rows that use what it brought.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { Email } from "../../src/domain/Email.ts"
import { TokenHash } from "../../src/domain/RefreshToken.ts"
import { GoogleId } from "../../src/domain/User.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { anIpAddress } from "../support/factories.ts"
import { makeDatabase } from "../support/TestDatabase.ts"

const initial = `
  WITH ada AS (
    INSERT INTO users (email, full_name, password_hash, auth_provider)
    VALUES ('Ada@example.com', 'Ada', 'hash', 'email') RETURNING id
  ), grace AS (
    INSERT INTO users (email, auth_provider, google_id, is_active)
    VALUES ('grace@example.com', 'google', 'g-1', false)
  ), tokens AS (
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at, revoked_at, user_agent, ip_address)
    SELECT id, 'live', now() + interval '1 day', NULL::timestamptz, 'curl', '192.0.2.1'::inet FROM ada
    UNION ALL
    SELECT id, 'revoked', now() + interval '1 day', now(), NULL, NULL FROM ada
  )
  INSERT INTO login_attempts (user_id, email, ip_address, success, failure_reason)
  SELECT id, 'ada@example.com', '2001:db8::1', false, 'wrong password' FROM ada`

/** By version: what is written there. */
const kits: Readonly<Record<number, ReadonlyArray<string>>> = {
  1: [initial],
  2: [initial, `UPDATE refresh_tokens SET successor_id = id WHERE token_hash = 'revoked'`],
  3: [initial],
  4: [initial],
}

const readBack = Effect.gen(function* () {
  const users = yield* UserRepository
  const tokens = yield* RefreshTokenRepository
  const attempts = yield* LoginAttemptRepository

  const ada = Option.getOrThrow(yield* users.getByEmail(Email.make("ada@example.com")))
  assert.deepInclude(ada, { email: Email.make("Ada@example.com"), fullName: "Ada", isActive: true })
  const grace = Option.getOrThrow(yield* users.getByGoogleId(GoogleId.make("g-1")))
  assert.deepInclude(grace, { authProvider: "google", passwordHash: null, isActive: false })
  assert.lengthOf((yield* users.list({ limit: 10 })).items, 2)

  const live = Option.getOrThrow(yield* tokens.getValidByTokenHash(TokenHash.make("live")))
  assert.deepInclude(live, {
    userId: ada.id,
    userAgent: "curl",
    ipAddress: anIpAddress("192.0.2.1"),
  })
  assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(TokenHash.make("revoked"))))
  assert.strictEqual(yield* attempts.countRecentFailures(ada.id), 1)

  const changed = yield* users.update(ada.id, { fullName: "Ada Lovelace" })
  assert.notStrictEqual(changed.version, ada.version)
  assert.strictEqual(yield* tokens.revokeAllForUser(ada.id), 1)
  yield* users.delete(ada.id)
})

const latest = Effect.map(Migrator, ({ files }) => Math.max(...files.map(({ id }) => id)))

for (const [version, statements] of Object.entries(kits)) {
  it.live(`rows of version ${version} are read back at the latest`, () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase()
      yield* Effect.gen(function* () {
        const migrator = yield* Migrator
        const sql = yield* SqlClient.SqlClient
        yield* migrator.up({ to: Number(version) })
        yield* Effect.forEach(statements, (statement) => sql.unsafe(statement))
        yield* migrator.up()
        assert.deepStrictEqual(yield* migrator.up(), [])
        assert.deepStrictEqual(yield* migrator.drift, [])
        yield* readBack
      }).pipe(
        Effect.provide(
          Layer.mergeAll(
            Migrator.layer,
            UserRepository.layer,
            RefreshTokenRepository.layer,
            LoginAttemptRepository.layer,
          ).pipe(Layer.provideMerge(Database.layer({ connection }))),
        ),
      )
    }))
}

it.live("there is a kit for every version", () =>
  Effect.gen(function* () {
    const connection = yield* makeDatabase()
    const last = yield* latest.pipe(
      Effect.provide(Migrator.layer.pipe(Layer.provide(Database.layer({ connection })))),
    )
    assert.deepStrictEqual(
      Object.keys(kits).map(Number),
      Array.from({ length: last }, (_, index) => index + 1),
    )
  }))
