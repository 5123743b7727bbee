import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { SqlClient, Statement } from "effect/sql"
import type { Email } from "../../src/domain/Email.ts"
import { Place } from "../../src/domain/Page.ts"
import type { TokenHash } from "../../src/domain/RefreshToken.ts"
import { SessionId } from "../../src/domain/Session.ts"
import { type GoogleId, type UserId, Version } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import type { RotateOptions } from "../../src/repositories/refreshTokens/rotateRefreshToken.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { outcomes, tagsOf } from "../support/atOnce.ts"
import {
  aGoogleId,
  aGoogleUser,
  anAttempt,
  anAttemptId,
  anAttemptToBegin,
  anEmail,
  anIpAddress,
  aSuccessor,
  aToken,
  aTokenId,
  aUser,
  aUserId,
  oneDayAgo,
} from "../support/factories.ts"
import * as Plans from "../support/plans.ts"
import { Statements } from "../support/Statements.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

type Call<A = unknown, R = never> = Effect.Effect<A, { readonly _tag: string }, R>

/** How often this session has read each table from end to end, triggers included. */
const fullReads = SqlClient.SqlClient.use((sql) =>
  Effect.map(
    sql<{ readonly name: string; readonly reads: number }>`
      SELECT relname AS name, seq_scan::int AS reads
      FROM pg_stat_xact_user_tables
      WHERE schemaname = 'public'`,
    (rows) => new Map(rows.map(({ name, reads }) => [name, reads])),
  )
).pipe(Effect.provideService(Statement.CurrentTransformer, undefined))

/**
 * Runs a call, undoes what it did, and gives the statements that it consisted of; the tag of its error,
 * or `done`; and the tables that were read from end to end.
 */
const observed = Effect.fnUntraced(function* <A, R>(call: Call<A, R>) {
  const sql = yield* SqlClient.SqlClient
  const { sent } = yield* Statements
  const [statements, { tag, scanned }] = yield* Effect.gen(function* () {
    const before = yield* fullReads
    const [tag] = tagsOf(yield* outcomes([call]))
    const after = yield* fullReads
    const scanned = [...after].flatMap(([name, reads]) =>
      reads > (before.get(name) ?? 0) ? [name] : []
    )
    return { tag, scanned }
  }).pipe(
    Effect.orDie,
    Effect.flatMap(Effect.fail),
    sql.withTransaction,
    Effect.catchTag("SqlError", Effect.die),
    Effect.flip,
    sent,
  )
  return { statements, tag, scanned }
})

const statementsOf = <A, R>(call: Call<A, R>) =>
  Effect.map(observed(call), ({ statements }) => statements)

const userId = Plans.userId(4242)
const email = Plans.email(4242)
const googleId = Plans.googleId(4242)
/** The user's live token, and a revoked one of another user. */
const tokenHash = Plans.tokenHash(4241)
const revokedHash = Plans.tokenHash(4242)
const revokedUserId = Plans.userId(4243)
const ipAddress = anIpAddress("10.0.16.146")
const after = new Place({ createdAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z"), id: userId })
const ifVersion = [Version.make("0")]
const aSessionId = () => SessionId.make(crypto.randomUUID())
const revokeSessions = { exceptSessionId: aSessionId() }

const ofUsers = Effect.gen(function* () {
  const users = yield* UserRepository
  const signIn = (google: { readonly googleId?: GoogleId; readonly email?: Email }) =>
    users.getOrCreateByGoogleId(google.googleId ?? aGoogleId(), {
      email: google.email ?? anEmail(),
      emailVerified: true,
      fullName: null,
      onEmailTaken: "link",
    })
  const signInOf = (user: ReturnType<typeof aUser>) =>
    Effect.andThen(users.create(user), signIn({ email: user.email }))
  return {
    "users.getById": users.getById(userId),
    "users.getByEmail": users.getByEmail(email),
    "users.getByGoogleId": users.getByGoogleId(googleId),
    "users.create": users.create(aUser()),
    "users.create with a key": users.create(aUser(), { idempotencyKey: userId }),
    "users.create with a taken Google id": users.create(aGoogleUser({ googleId })),
    "users.getOrCreateByGoogleId, found": signIn({ googleId }),
    "users.getOrCreateByGoogleId, new": signIn({}),
    "users.getOrCreateByGoogleId, linked": signInOf(aUser({ emailVerifiedAt: oneDayAgo() })),
    "users.getOrCreateByGoogleId, taken over": signInOf(aUser()),
    "users.getOrCreateByGoogleId with a taken e-mail": signIn({ email }),
    "users.update": users.update(userId, { fullName: "Ada" }),
    "users.update in a version": users.update(userId, {}, { ifVersion }),
    "users.update that deactivates": users.update(userId, { isActive: false }),
    "users.update with revokeSessions": users.update(userId, {}, { revokeSessions: {} }),
    "users.update with revokeSessions except one": users.update(userId, {}, { revokeSessions }),
    "users.update to a taken Google id": users.update(revokedUserId, { email, googleId }),
    "users.delete": users.delete(userId),
    "users.delete in a version": users.delete(userId, { ifVersion }),
    "users.lookup, ids": users.lookup({ ids: [userId] }),
    "users.lookup, e-mail": users.lookup({ emails: [email] }),
    "users.lookup, Google": users.lookup({ googleIds: [googleId] }),
    "users.listByEmail": users.listByEmail("user.42", { limit: 50, after: email }),
    "users.list": users.list({ limit: 50 }),
    "users.list continued": users.list({ limit: 50, after }),
  }
})

const ofTokens = Effect.gen(function* () {
  const tokens = yield* RefreshTokenRepository
  const rotateTwice = (options: RotateOptions) =>
    Effect.andThen(
      tokens.rotate(tokenHash, aSuccessor()),
      tokens.rotate(tokenHash, aSuccessor(), options),
    )
  const revokeSessionOf = (hash: TokenHash, userId: UserId) =>
    Effect.flatMap(
      tokens.getByTokenHash(hash),
      (token) => tokens.revokeSession(userId, Option.getOrThrow(token).sessionId),
    )
  return {
    "tokens.getByTokenHash": tokens.getByTokenHash(tokenHash),
    "tokens.getValidByTokenHash": tokens.getValidByTokenHash(tokenHash),
    "tokens.getValidWithUser": tokens.getValidWithUser(tokenHash),
    "tokens.create": tokens.create(aToken(userId)),
    "tokens.create with a key": tokens.create(aToken(userId), { idempotencyKey: aTokenId() }),
    "tokens.create for a version": tokens.create(
      aToken(userId, { userVersion: Version.make("0") }),
    ),
    "tokens.create with a limit": tokens.create(aToken(userId, { maxSessions: 1 })),
    "tokens.create beyond a limit": tokens.create(
      aToken(userId, { maxSessions: 1, onLimit: "refuse" }),
    ),
    "tokens.revoke": tokens.revoke(tokenHash),
    "tokens.revoke, again": tokens.revoke(revokedHash),
    "tokens.rotate": tokens.rotate(tokenHash, aSuccessor()),
    "tokens.rotate with a key": tokens.rotate(tokenHash, aSuccessor(), {
      idempotencyKey: aTokenId(),
    }),
    "tokens.rotate of a revoked one": tokens.rotate(revokedHash, aSuccessor()),
    "tokens.rotate onto a taken hash": tokens.rotate(
      tokenHash,
      aSuccessor({ tokenHash: revokedHash }),
    ),
    "tokens.rotate in grace": rotateTwice({ graceSeconds: 60 }),
    "tokens.rotate of a reused one": rotateTwice({ onReuse: "revoke-session" }),
    "tokens.rotateWithUser": tokens.rotateWithUser(tokenHash, aSuccessor()),
    "tokens.rotateWithUser with a key": tokens.rotateWithUser(tokenHash, aSuccessor(), {
      idempotencyKey: aTokenId(),
    }),
    "tokens.rotateWithUser in grace": Effect.andThen(
      tokens.rotate(tokenHash, aSuccessor()),
      tokens.rotateWithUser(tokenHash, aSuccessor(), { graceSeconds: 60 }),
    ),
    "tokens.revokeAllForUser": tokens.revokeAllForUser(userId),
    "tokens.revokeAllForUser except one": tokens.revokeAllForUser(userId, {
      exceptTokenHash: tokenHash,
    }),
    "tokens.revokeAllForUser except a session": tokens.revokeAllForUser(userId, {
      exceptSessionId: aSessionId(),
    }),
    "tokens.revokeSession": revokeSessionOf(tokenHash, userId),
    "tokens.revokeSession, ended": revokeSessionOf(revokedHash, revokedUserId),
    "tokens.revokeSession, unknown": tokens.revokeSession(userId, aSessionId()),
    "tokens.deleteExpired": tokens.deleteExpired(),
    "tokens.listForUser": tokens.listForUser(userId, { limit: 50 }),
    "tokens.listForUser, live": tokens.listForUser(userId, { limit: 50, active: true }),
    "tokens.listForUser, dead": tokens.listForUser(userId, { limit: 50, active: false, after }),
    "tokens.listForUser, nobody": tokens.listForUser(aUserId(), { limit: 50 }),
    "tokens.listSessions": tokens.listSessions(userId, { limit: 50 }),
    "tokens.listSessions continued": tokens.listSessions(userId, { limit: 50, after }),
    "tokens.listSessions, nobody": tokens.listSessions(aUserId(), { limit: 50 }),
  }
})

const ofAttempts = Effect.gen(function* () {
  const attempts = yield* LoginAttemptRepository
  return {
    "attempts.create": attempts.create(anAttempt({ userId })),
    "attempts.create with a key": attempts.create(anAttempt(), { idempotencyKey: anAttemptId() }),
    "attempts.begin": attempts.begin(anAttemptToBegin({ email, ipAddress })),
    "attempts.begin within limits": attempts.begin(limited),
    "attempts.begin beyond a limit": Effect.andThen(
      attempts.begin(limited),
      attempts.begin({ ...limited, limits: [{ by: "ipAddress", failures: 1, minutes: 15 }] }),
    ),
    "attempts.begin with a key": attempts.begin(limited, { idempotencyKey: anAttemptId() }),
    "attempts.begin with the key of an attempt": Effect.repeat(
      attempts.begin(limited, { idempotencyKey: again }),
      { times: 1 },
    ),
    "attempts.complete": Effect.flatMap(
      attempts.begin(limited),
      ({ attempt: { id } }) => attempts.complete(id, failed),
    ),
    "attempts.complete with a token": Effect.flatMap(
      attempts.begin(limited),
      ({ attempt: { id } }) =>
        attempts.complete(id, { ...failed, success: true, refreshToken: aToken(userId) }),
    ),
    "attempts.forgive": attempts.forgive(userId),
    "attempts.listForUser": attempts.listForUser(userId, { limit: 50 }),
    "attempts.listForUser, nobody": attempts.listForUser(aUserId(), { limit: 50, after }),
    "attempts.listFrom, e-mail": attempts.listFrom({ email }, { limit: 50, after }),
    "attempts.listFrom, IP": attempts.listFrom({ ipAddress }, { limit: 50 }),
    "attempts.listFrom, both": attempts.listFrom({ email, ipAddress }, { limit: 50 }),
    "attempts.countRecentFailures": attempts.countRecentFailures(userId),
    "attempts.countRecentFailuresFrom, e-mail": attempts.countRecentFailuresFrom({ email }),
    "attempts.countRecentFailuresFrom, IP": attempts.countRecentFailuresFrom({ ipAddress }),
    "attempts.countRecentFailuresFrom, both": attempts.countRecentFailuresFrom({
      email,
      ipAddress,
    }),
    "attempts.deleteOld": attempts.deleteOld(120),
  }
})

const limited = anAttemptToBegin({
  email,
  ipAddress,
  limits: (["email", "ipAddress", "ipPrefix", "emailAndIpAddress"] as const).map((by) => ({
    by,
    failures: 10_000,
    minutes: 15,
  })),
})
const again = anAttemptId()
const failed = { success: false, failureReason: null, refreshToken: null }

/** Every method, in each of the ways that give another statement. */
const calls = Effect.gen(function* () {
  const all: Readonly<Record<string, Call>> = {
    ...yield* ofUsers,
    ...yield* ofTokens,
    ...yield* ofAttempts,
  }
  return Object.entries(all)
})

/** What calls are refused with that are about refusals. */
const refusals: Readonly<Record<string, string>> = {
  "users.create with a key": "IdempotencyKeyReused",
  "attempts.begin beyond a limit": "TooManyFailures",
  "attempts.listForUser, nobody": "UserNotFound",
  "users.create with a taken Google id": "GoogleIdTaken",
  "users.getOrCreateByGoogleId with a taken e-mail": "EmailTaken",
  "users.update in a version": "VersionMismatch",
  "users.update to a taken Google id": "GoogleIdTaken",
  "users.delete in a version": "VersionMismatch",
  "tokens.create for a version": "VersionMismatch",
  "tokens.create beyond a limit": "SessionLimitReached",
  "tokens.rotate of a revoked one": "RefreshTokenRevoked",
  "tokens.rotate onto a taken hash": "TokenHashTaken",
  "tokens.rotate of a reused one": "RefreshTokenReused",
  "tokens.revokeSession, unknown": "SessionNotFound",
  "tokens.listForUser, nobody": "UserNotFound",
  "tokens.listSessions, nobody": "UserNotFound",
}

const Recorded = TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer))

layer(Layer.effectDiscard(Plans.fill(100_000)).pipe(Layer.provideMerge(Recorded)))(
  "on a database with many rows",
  (it) => {
    it.effect("no statement of a repository reads a whole table", () =>
      Effect.gen(function* () {
        const offenders: Array<string> = []
        for (const [name, call] of yield* calls) {
          const { statements, tag, scanned } = yield* observed(call)
          assert.strictEqual(tag, refusals[name] ?? "done", name)
          assert.deepStrictEqual(scanned, [], name)
          assert.isNotEmpty(statements, name)
          offenders.push(...yield* Plans.wholeTableReads(name, statements))
        }
        assert.deepStrictEqual(offenders, [])
      }))

    it.effect("every statement of a repository names the schema of its tables and types", () =>
      Effect.gen(function* () {
        const offenders: Array<string> = []
        for (const [name, call] of yield* calls) {
          offenders.push(...yield* Plans.unqualifiedNames(name, yield* statementsOf(call)))
        }
        assert.deepStrictEqual(offenders, [])
      }))

    it.effect("a statement that reads a whole table would be noticed", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { statements: [statement], scanned } = yield* observed(
          sql`SELECT id FROM users WHERE full_name = ${"Ada"}`,
        )
        assert.isDefined(statement)
        assert.deepStrictEqual(scanned, ["users"])
        const plans = yield* Plans.plansOf(statement)
        assert.deepStrictEqual(plans.map(Plans.tableScans), [["users"], ["users"]])
      }))
  },
)

/**
 * A hundred thousand tokens and as many attempts, of a thousand users. Made without indexes, which are
 * quicker to build afterwards, and not yet looked at by PostgreSQL's statistics.
 */
const fillMany = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const indexes = yield* sql<{ readonly name: string; readonly definition: string }>`
    SELECT indexname AS name, indexdef AS definition
    FROM pg_indexes
    WHERE tablename IN ('refresh_tokens', 'login_attempts')`
  yield* sql`
    INSERT INTO users (id, email, auth_provider, google_id)
    SELECT lpad(number::text, 32, '0')::uuid, number || '@example.com', 'google', number::text
    FROM generate_series(1, 1000) AS number`
  for (const table of ["refresh_tokens", "login_attempts"]) {
    yield* sql`
      ALTER TABLE ${sql(table)}
      DROP CONSTRAINT ${sql(`${table}_pkey`)},
      DROP CONSTRAINT ${sql(`${table}_user_id_fkey`)}`
  }
  for (const { name } of indexes) yield* sql`DROP INDEX IF EXISTS ${sql(name)}`
  yield* sql`
    INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at)
    SELECT
      lpad(number::text, 32, '0')::uuid, lpad((number % 1000 + 1)::text, 32, '0')::uuid,
      number::text, now() - number * interval '1 minute'
    FROM generate_series(1, 100000) AS number`
  yield* sql`
    INSERT INTO login_attempts (id, user_id, email, ip_address, success, attempted_at)
    SELECT
      lpad(number::text, 32, '0')::uuid, lpad((number % 1000 + 1)::text, 32, '0')::uuid,
      'ada@example.com', '10.0.0.1', false, now() - number * interval '1 minute'
    FROM generate_series(1, 100000) AS number`
  for (const { definition } of indexes) yield* sql.unsafe(definition)
})

layer(Recorded)(
  "on tables of a hundred thousand rows",
  (it) => {
    it.effect(
      "batches of rows are deleted and changed by primary key, whatever is estimated",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const users = yield* UserRepository
          const tokens = yield* RefreshTokenRepository
          const attempts = yield* LoginAttemptRepository
          yield* fillMany

          const statements = [
            ...yield* statementsOf(tokens.deleteExpired(69)),
            ...yield* statementsOf(attempts.deleteOld(69)),
            ...yield* statementsOf(users.delete(Plans.userId(1))),
          ].filter(([text]) => text.includes("LIMIT"))
          const texts = new Map(statements.map((statement) => [statement[0], statement]))
          assert.strictEqual(texts.size, 4)
          for (const analyze of [false, true]) {
            if (analyze) yield* sql`ANALYZE users, refresh_tokens, login_attempts`
            for (const mode of ["force_custom_plan", "force_generic_plan"]) {
              const { tag, scanned } = yield* observed(Effect.andThen(
                sql`SET LOCAL plan_cache_mode = ${sql.literal(mode)}`,
                users.update(Plans.userId(2), { isActive: false }),
              ))
              assert.deepStrictEqual([tag, scanned], ["done", []], mode)
            }
            for (const statement of texts.values()) {
              for (const plan of yield* Plans.plansOf(statement)) {
                assert.isTrue(
                  Plans.indexScans(plan).some((index) => index.endsWith("_pkey")),
                  statement[0],
                )
                assert.deepStrictEqual(Plans.tableScans(plan), [], statement[0])
              }
            }
          }
        }),
    )
  },
)
