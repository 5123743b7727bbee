/**
 * A kit for each version that was ever released: rows that were written at a version are read back
 * through the repositories after migrating to the latest. A migration adds its number to `kits`, with
 * rows that use what it brought.
 */
import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { createHash } from "node:crypto"
import * as Database from "../../src/database/Database.ts"
import { Email } from "../../src/domain/Email.ts"
import { RefreshTokenReused, TokenHash } from "../../src/domain/RefreshToken.ts"
import { Session, SessionId } from "../../src/domain/Session.ts"
import { GoogleId } from "../../src/domain/User.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import {
  aGoogleUser,
  anAttemptToBegin,
  anIpAddress,
  aSuccessor,
  aToken,
  aTokenId,
  aUserId,
} from "../support/factories.ts"
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

/** Code of these versions gives inactive users tokens, which do not survive the fifth migration. */
const ofInactive = `
  INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
  SELECT id, 'of inactive', now() + interval '1 day' FROM users WHERE NOT is_active`

const rotated = `UPDATE refresh_tokens SET successor_id = id WHERE token_hash = 'revoked'`

const firstId = SessionId.make("00000000-0000-4000-8000-000000000001")

/** A session with an end, whose first token was rotated twice; the second time in grace. */
const session = `
  WITH ada AS (
    SELECT id FROM users WHERE email = 'Ada@example.com'
  ), first AS (
    INSERT INTO refresh_tokens (
      id, user_id, token_hash, expires_at, session_expires_at, created_at, revoked_at, successor_id
    )
    SELECT
      '${firstId}', id, 'first', '2099-01-01Z', '2099-01-02Z', '2026-01-01Z'::timestamptz,
      '2026-01-02Z'::timestamptz, '00000000-0000-4000-8000-000000000002'::uuid
    FROM ada
  )
  INSERT INTO refresh_tokens (
    id, user_id, token_hash, expires_at, session_expires_at, created_at, session_id, signed_in_at,
    sibling_ids, user_agent
  )
  SELECT
    '00000000-0000-4000-8000-000000000002'::uuid, id, 'second', '2099-01-01Z'::timestamptz,
    '2099-01-02Z'::timestamptz, '2026-01-02Z'::timestamptz, '${firstId}'::uuid,
    '2026-01-01Z'::timestamptz, '{00000000-0000-4000-8000-000000000003}'::uuid[], NULL
  FROM ada
  UNION ALL
  SELECT
    '00000000-0000-4000-8000-000000000003', id, 'sibling', '2099-01-01Z', '2099-01-02Z',
    '2026-01-03Z', '${firstId}', '2026-01-01Z', NULL, 'curl'
  FROM ada`

const reason =
  `UPDATE refresh_tokens SET revoked_reason = 'device-lost' WHERE token_hash = 'revoked'`

const verified = `
  UPDATE users SET email_verified_at = '2026-01-01Z' WHERE email = 'Ada@example.com'`

/** A failure that was forgiven, one that is pending, and one that was completed. */
const begun = `
  WITH ada AS (
    UPDATE users SET failures_forgiven_at = now() - interval '1 minute'
    WHERE email = 'Ada@example.com'
    RETURNING id
  )
  INSERT INTO login_attempts (user_id, email, ip_address, success, pending, completed_at, attempted_at)
  SELECT
    CASE WHEN NOT pending THEN NULL::uuid END, 'ada@example.com', '192.0.2.9', false, pending,
    completed_at, attempted_at
  FROM (
    VALUES
      (false, NULL::timestamptz, now() - interval '2 minutes'),
      (true, NULL, now() - interval '30 seconds'),
      (false, now(), now() - interval '20 seconds')
  ) AS attempts (pending, completed_at, attempted_at)`

/** What a version writes, and what is read of it beyond what `readBack` reads. */
interface Kit {
  readonly statements: ReadonlyArray<string>
  readonly emailVerifiedAt: DateTime.Utc | null
  readonly revokedReason: string | null
  readonly alsoRead: Effect.Effect<
    unknown,
    unknown,
    RefreshTokenRepository | UserRepository | LoginAttemptRepository
  >
}

const tokenOf = (hash: string) =>
  RefreshTokenRepository.use((tokens) =>
    Effect.map(tokens.getByTokenHash(TokenHash.make(hash)), Option.getOrThrow)
  )

const ofInactiveIsRevoked = Effect.gen(function* () {
  const token = yield* tokenOf("of inactive")
  assert.strictEqual(token.revokedReason, "user-deactivated")
  assert.isFalse(token.wasValid)
})

const sessionIsRead = Effect.gen(function* () {
  const users = yield* UserRepository
  const tokens = yield* RefreshTokenRepository
  const { id: userId } = Option.getOrThrow(yield* users.getByEmail(Email.make("ada@example.com")))
  const signedInAt = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
  const sessionExpiresAt = DateTime.makeUnsafe("2099-01-02T00:00:00Z")
  const ofSession = { sessionId: firstId, signedInAt, sessionExpiresAt }

  assert.deepInclude(yield* tokenOf("first"), { ...ofSession, revokedReason: "rotated" })
  assert.deepInclude(yield* tokenOf("second"), { ...ofSession, revokedReason: null })
  const [listed] = (yield* tokens.listSessions(userId, { limit: 10 })).items
  assert.deepStrictEqual(
    listed,
    new Session({
      id: firstId,
      userId,
      signedInAt,
      refreshedAt: DateTime.makeUnsafe("2026-01-03T00:00:00Z"),
      expiresAt: DateTime.makeUnsafe("2099-01-01T00:00:00Z"),
      sessionExpiresAt,
      userAgent: "curl",
      ipAddress: null,
    }),
  )

  const third = yield* tokens.rotate(TokenHash.make("sibling"), aSuccessor())
  assert.deepInclude(third, ofSession)
  const reuse = yield* tokens.rotate(TokenHash.make("first"), aSuccessor()).pipe(Effect.flip)
  assert.deepStrictEqual(
    reuse,
    new RefreshTokenReused({ userId, sessionId: firstId, sessionIsLive: true }),
  )
  assert.strictEqual(yield* tokens.revokeSession(userId, firstId), 2)
})

const attemptsAreRead = Effect.gen(function* () {
  const attempts = yield* LoginAttemptRepository
  const email = Email.make("ada@example.com")
  const limits = [{ by: "email", failures: 100, minutes: 15 }] as const
  const { counts, attempt } = yield* attempts.begin(anAttemptToBegin({ email, limits }))
  // The initial one is younger than what was forgiven.
  assert.strictEqual(counts[0]?.count, 3)
  const { items } = yield* attempts.listFrom({ email }, { limit: 10 })
  assert.lengthOf(items.filter(({ pending }) => pending), 2)
  const verdict = { success: true, failureReason: null, refreshToken: null }
  const completed = yield* attempts.complete(attempt.id, verdict)
  assert.isFalse(completed.attempt.pending)
})

/** Of the versions that knew of no sessions. */
const kitBeforeSessions = (...statements: ReadonlyArray<string>): Kit => ({
  statements: [initial, ofInactive, ...statements],
  emailVerifiedAt: null,
  revokedReason: statements.includes(rotated) ? "rotated" : null,
  alsoRead: ofInactiveIsRevoked,
})

/** By version. */
const kits: Readonly<Record<number, Kit>> = {
  1: kitBeforeSessions(),
  2: kitBeforeSessions(rotated),
  3: kitBeforeSessions(),
  4: kitBeforeSessions(),
  5: {
    statements: [initial, session, reason, verified],
    emailVerifiedAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z"),
    revokedReason: "device-lost",
    alsoRead: sessionIsRead,
  },
  6: {
    statements: [initial, session, reason, verified, begun],
    emailVerifiedAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z"),
    revokedReason: "device-lost",
    alsoRead: Effect.andThen(sessionIsRead, attemptsAreRead),
  },
}

const readBack = ({ emailVerifiedAt, revokedReason }: Kit) =>
  Effect.gen(function* () {
    const users = yield* UserRepository
    const tokens = yield* RefreshTokenRepository
    const attempts = yield* LoginAttemptRepository

    const ada = Option.getOrThrow(yield* users.getByEmail(Email.make("ada@example.com")))
    assert.deepInclude(ada, {
      email: Email.make("Ada@example.com"),
      fullName: "Ada",
      isActive: true,
      emailVerifiedAt,
    })
    const grace = Option.getOrThrow(yield* users.getByGoogleId(GoogleId.make("g-1")))
    assert.deepInclude(grace, { authProvider: "google", passwordHash: null, isActive: false })
    assert.lengthOf((yield* users.list({ limit: 10 })).items, 2)

    const live = Option.getOrThrow(yield* tokens.getValidByTokenHash(TokenHash.make("live")))
    assert.deepInclude(live, {
      userId: ada.id,
      userAgent: "curl",
      ipAddress: anIpAddress("192.0.2.1"),
      sessionId: SessionId.make(live.id),
      signedInAt: live.createdAt,
      sessionExpiresAt: null,
      revokedReason: null,
    })
    assert.isTrue(Option.isNone(yield* tokens.getValidByTokenHash(TokenHash.make("revoked"))))
    assert.strictEqual((yield* tokenOf("revoked")).revokedReason, revokedReason)
    const sessions = yield* tokens.listSessions(ada.id, { limit: 10 })
    assert.deepStrictEqual(sessions.items.map(({ id }) => id), [live.sessionId])
    assert.strictEqual(yield* attempts.countRecentFailures(ada.id), 1)

    const changed = yield* users.update(ada.id, { fullName: "Ada Lovelace" })
    assert.notStrictEqual(changed.version, ada.version)
    assert.strictEqual(yield* tokens.revokeAllForUser(ada.id), 1)
    yield* users.delete(ada.id)
  })

const latest = Effect.map(Migrator, ({ files }) => Math.max(...files.map(({ id }) => id)))

for (const [version, kit] of Object.entries(kits)) {
  it.live(`rows of version ${version} are read back at the latest`, () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase()
      yield* Effect.gen(function* () {
        const migrator = yield* Migrator
        const sql = yield* SqlClient.SqlClient
        yield* migrator.up({ to: Number(version) })
        yield* Effect.forEach(kit.statements, (statement) => sql.unsafe(statement))
        yield* migrator.up()
        assert.deepStrictEqual(yield* migrator.up(), [])
        assert.deepStrictEqual(yield* migrator.drift, [])
        yield* kit.alsoRead
        yield* readBack(kit)
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

/** What is kept of a request beside the row that it created; of the properties that version 4 knew. */
const fingerprintOf = (operation: string, values: object) =>
  createHash("sha256")
    .update(
      JSON.stringify([operation, ...Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1)]),
    )
    .digest()

it.live("requests of version 4 are known again when they are repeated at the latest", () =>
  Effect.gen(function* () {
    const connection = yield* makeDatabase()
    yield* Effect.gen(function* () {
      const migrator = yield* Migrator
      const sql = yield* SqlClient.SqlClient
      const expiresAt = DateTime.makeUnsafe("2099-01-01T00:00:00Z")
      const client = { userAgent: null, ipAddress: "192.0.2.1" }
      const [userId, tokenId, successorId] = [aUserId(), aTokenId(), aTokenId()]
      const user = { email: "ada@example.com", authProvider: "google", googleId: "g-1" }
      const token = {
        userId,
        tokenHash: "first",
        expiresAt: DateTime.formatIso(expiresAt),
        ...client,
      }
      const successor = { tokenHash: "second", expiresAt: DateTime.formatIso(expiresAt), ...client }
      yield* migrator.up({ to: 4 })
      yield* sql`
        INSERT INTO users (id, email, auth_provider, google_id, idempotency_fingerprint)
        VALUES (
          ${userId}, ${user.email}, 'google', ${user.googleId},
          ${
        fingerprintOf("create", { ...user, fullName: null, passwordHash: null, isActive: true })
      }
        )`
      yield* sql`
        INSERT INTO refresh_tokens (
          id, user_id, token_hash, expires_at, ip_address, successor_id, revoked_at,
          idempotency_fingerprint
        )
        VALUES (
          ${tokenId}, ${userId}, 'first', '2099-01-01Z', '192.0.2.1', ${successorId}, now(),
          ${fingerprintOf("create", token)}
        ), (
          ${successorId}, ${userId}, 'second', '2099-01-01Z', '192.0.2.1', NULL, NULL,
          ${fingerprintOf("rotate", { tokenHash: "first", successor })}
        )`
      yield* migrator.up()

      const users = yield* UserRepository
      const tokens = yield* RefreshTokenRepository
      const first = TokenHash.make("first")
      const second = TokenHash.make("second")
      const ipAddress = anIpAddress("192.0.2.1")
      const sameUser = yield* users.create(
        aGoogleUser({ email: Email.make(user.email), googleId: GoogleId.make(user.googleId) }),
        { idempotencyKey: userId },
      )
      assert.strictEqual(sameUser.id, userId)
      const sameToken = yield* tokens.create(
        aToken(userId, { tokenHash: first, expiresAt, ipAddress }),
        { idempotencyKey: tokenId },
      )
      assert.deepInclude(sameToken, { id: tokenId, revokedReason: "rotated" })
      // Whatever has become of the successor: this is not the repetition of the pair.
      yield* tokens.revoke(second)
      const sameRotation = yield* tokens.rotate(
        first,
        aSuccessor({ tokenHash: second, expiresAt, ipAddress }),
        { idempotencyKey: successorId },
      )
      assert.deepInclude(sameRotation, { id: successorId, revokedReason: "logout" })
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Migrator.layer, UserRepository.layer, RefreshTokenRepository.layer).pipe(
          Layer.provideMerge(Database.layer({ connection })),
        ),
      ),
    )
  }))

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
