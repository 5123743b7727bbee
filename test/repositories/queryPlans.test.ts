import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Place } from "../../src/domain/Page.ts"
import { Version } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import {
  aGoogleUser,
  anAttempt,
  anAttemptId,
  anIpAddress,
  aSuccessor,
  aToken,
  aTokenId,
  aUser,
  aUserId,
} from "../support/factories.ts"
import * as Plans from "../support/plans.ts"
import { Statements } from "../support/Statements.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** Runs a call, undoes what it did, and gives the statements that it consisted of. */
const statementsOf = Effect.fnUntraced(function* <A, E, R>(call: Effect.Effect<A, E, R>) {
  const sql = yield* SqlClient.SqlClient
  const { sent } = yield* Statements
  const [statements] = yield* Effect.exit(call).pipe(
    Effect.andThen(Effect.fail("rolled back")),
    sql.withTransaction,
    Effect.exit,
    sent,
  )
  return statements
})

const userId = Plans.userId(4242)
const email = Plans.email(4242)
const googleId = Plans.googleId(4242)
const tokenHash = Plans.tokenHash(4242)
const ipAddress = anIpAddress("10.0.16.146")
const after = new Place({ createdAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z"), id: userId })
const ifVersion = [Version.make("0")]

/** Every method, in each of the ways that give another statement. */
const calls = Effect.gen(function* () {
  const users = yield* UserRepository
  const tokens = yield* RefreshTokenRepository
  const attempts = yield* LoginAttemptRepository
  const all: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "users.getById": users.getById(userId),
    "users.getByEmail": users.getByEmail(email),
    "users.getByGoogleId": users.getByGoogleId(googleId),
    "users.create": users.create(aUser()),
    "users.create with a key": users.create(aUser(), { idempotencyKey: userId }),
    "users.create with a taken Google id": users.create(aGoogleUser({ googleId })),
    "users.update": users.update(userId, { fullName: "Ada" }),
    "users.update in a version": users.update(userId, {}, { ifVersion }),
    "users.delete": users.delete(userId),
    "users.delete in a version": users.delete(userId, { ifVersion }),
    "users.list": users.list({ limit: 50 }),
    "users.list continued": users.list({ limit: 50, after }),
    "tokens.getByTokenHash": tokens.getByTokenHash(tokenHash),
    "tokens.getValidByTokenHash": tokens.getValidByTokenHash(tokenHash),
    "tokens.create": tokens.create(aToken(userId)),
    "tokens.create with a key": tokens.create(aToken(userId), { idempotencyKey: aTokenId() }),
    "tokens.revoke": tokens.revoke(tokenHash),
    "tokens.rotate": tokens.rotate(tokenHash, aSuccessor()),
    "tokens.revokeAllForUser": tokens.revokeAllForUser(userId),
    "tokens.revokeAllForUser except one": tokens.revokeAllForUser(userId, {
      exceptTokenHash: tokenHash,
    }),
    "tokens.deleteExpired": tokens.deleteExpired(),
    "tokens.listForUser": tokens.listForUser(userId, { limit: 50 }),
    "tokens.listForUser, live": tokens.listForUser(userId, { limit: 50, active: true }),
    "tokens.listForUser, dead": tokens.listForUser(userId, { limit: 50, active: false, after }),
    "tokens.listForUser, nobody": tokens.listForUser(aUserId(), { limit: 50 }),
    "attempts.create": attempts.create(anAttempt({ userId })),
    "attempts.create with a key": attempts.create(anAttempt(), { idempotencyKey: anAttemptId() }),
    "attempts.countRecentFailures": attempts.countRecentFailures(userId),
    "attempts.countRecentFailuresFrom, e-mail": attempts.countRecentFailuresFrom({ email }),
    "attempts.countRecentFailuresFrom, IP": attempts.countRecentFailuresFrom({ ipAddress }),
    "attempts.countRecentFailuresFrom, both": attempts.countRecentFailuresFrom({
      email,
      ipAddress,
    }),
    "attempts.deleteOld": attempts.deleteOld(120),
  }
  return Object.entries(all)
})

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)))(
  "on a database with many rows",
  (it) => {
    it.effect("no statement of a repository reads a whole table", () =>
      Effect.gen(function* () {
        yield* Plans.fill(100_000)
        const offenders: Array<string> = []
        for (const [name, call] of yield* calls) {
          const statements = yield* statementsOf(call)
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
        const [statement] = yield* statementsOf(
          sql`SELECT id FROM users WHERE full_name = ${"Ada"}`,
        )
        assert.isDefined(statement)
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

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)))(
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
