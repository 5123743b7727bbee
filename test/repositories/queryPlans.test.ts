import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Place } from "../../src/domain/Page.ts"
import { Version } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/UserRepository.ts"
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
      }), 120_000)

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
