import { assert, layer } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Tracer } from "effect"
import { SqlClient } from "effect/sql"
import { inspect } from "node:util"
import { interpretErrors, UnexpectedDatabaseError } from "../../src/database/Constraints.ts"
import { Email } from "../../src/domain/Email.ts"
import { TokenHash } from "../../src/domain/RefreshToken.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { blockedSession, tokensElsewhere } from "../support/elsewhere.ts"
import {
  aGoogleUser,
  anEmail,
  aPasswordHash,
  aToken,
  aUser,
  aUserId,
} from "../support/factories.ts"
import { aSavedToken, aSavedUser } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** Ends with an error of this SQLSTATE, as a statement of ours could. */
const raise = (code: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}'; END $$`)
  )

/** Why an effect fails, as it must. */
const causeOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.sandbox, Effect.flip)

/** The defect that an effect must die of. */
const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(causeOf(effect), (cause) => {
    assert.isTrue(Cause.hasDies(cause))
    return { defect: Cause.squash(cause), cause }
  })

/** Everything that a log or a trace could show of a value. */
const printed = (value: unknown) =>
  [
    String(value),
    inspect(value, { depth: 20, showHidden: true }),
    JSON.stringify(value),
    Cause.isCause(value) ? Cause.pretty(value) : "",
  ].join("\n")

/** Runs an effect, and gives what its spans would export. */
const tracedText = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    },
  })
  yield* Effect.exit(effect).pipe(Effect.provideService(Tracer.Tracer, tracer))
  return spans.map((span) => {
    const exit = span.status._tag === "Ended" ? span.status.exit : Exit.void
    return [
      span.name,
      JSON.stringify([...span.attributes]),
      JSON.stringify(span.events, (_, value) => typeof value === "bigint" ? `${value}` : value),
      Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
    ].join("\n")
  })
})

const unavailable = [
  "08000",
  "08001",
  "08003",
  "08004",
  "08006",
  "08P01",
  "0A000",
  "25006",
  "25P02",
  "25P03",
  "25P04",
  "26000",
  "28000",
  "28P01",
  "3D000",
  "40001",
  "40P01",
  "42501",
  "42P05",
  "53100",
  "53200",
  "53300",
  "55000",
  "55P03",
  "57014",
  "57P01",
  "57P02",
  "57P03",
  "57P04",
  "57P05",
  "58030",
]

layer(TestDatabase.layerRepositories)("an outage", (it) => {
  it.effect.each(unavailable)(
    "of SQLSTATE %s is DatabaseUnavailable and keeps the code",
    (code) =>
      Effect.gen(function* () {
        const error = yield* raise(code).pipe(interpretErrors(), Effect.flip)
        assert.strictEqual(error._tag, "DatabaseUnavailable")
        assert.strictEqual(error.code, code)
      }),
  )

  it.effect("that cuts a transaction's connection is DatabaseUnavailable", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const cut = sql`SELECT pg_terminate_backend(pg_backend_pid())`.pipe(sql.withTransaction)

      const error = yield* cut.pipe(interpretErrors(), Effect.flip)
      assert.strictEqual(error._tag, "DatabaseUnavailable")
    }))

  it.effect("that comes as a defect is DatabaseUnavailable", () =>
    Effect.gen(function* () {
      const error = yield* Effect.orDie(raise("57P01")).pipe(interpretErrors(), Effect.flip)
      assert.strictEqual(error._tag, "DatabaseUnavailable")
    }))

  it.effect("of a read-only database is DatabaseUnavailable", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const error = yield* Effect.andThen(
        sql`SET TRANSACTION READ ONLY`,
        users.create(aUser()),
      ).pipe(sql.withTransaction, Effect.flip)
      assert.strictEqual(error._tag, "DatabaseUnavailable")
    }))

  it.effect("of a statement that takes too long is DatabaseUnavailable", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const error = yield* Effect.andThen(
        sql`SET LOCAL statement_timeout = '20ms'`,
        sql`SELECT pg_sleep(3600)`,
      ).pipe(sql.withTransaction, interpretErrors(), Effect.flip)
      assert.strictEqual(error.code, "57014")
    }))
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })(
  "an outage in the midst of a transaction",
  (it) => {
    it.effect("by a lock that is not given up is DatabaseUnavailable", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const tokens = yield* tokensElsewhere(Duration.millis(20))
        const { id } = yield* aSavedUser()

        const error = yield* Effect.andThen(
          sql`SELECT id FROM users WHERE id = ${id} FOR UPDATE`,
          Effect.flip(tokens.revokeAllForUser(id)),
        ).pipe(sql.withTransaction)

        assert.strictEqual(error._tag, "DatabaseUnavailable")
        assert.strictEqual(error._tag === "DatabaseUnavailable" ? error.code : "", "55P03")
      }))

    it.effect("by a lost connection is DatabaseUnavailable, and the next call works", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const tokens = yield* tokensElsewhere()
        const { userId } = yield* aSavedToken()

        const error = yield* Effect.gen(function* () {
          yield* sql`SELECT id FROM users WHERE id = ${userId} FOR UPDATE`
          const revoking = yield* Effect.forkChild(Effect.flip(tokens.revokeAllForUser(userId)))
          yield* sql`SELECT pg_terminate_backend(${yield* blockedSession})`
          return yield* Fiber.join(revoking)
        }).pipe(sql.withTransaction)

        assert.strictEqual(error._tag, "DatabaseUnavailable")
        assert.strictEqual(yield* tokens.revokeAllForUser(userId), 1)
      }))
  },
)

const secrets = {
  email: Email.make("mallory.secret@example.com"),
  fullName: "Mallory Secret",
  passwordHash: aPasswordHash("$argon2id$secret-hash"),
} as const

/** Fails when any of the secrets shows. */
const assertDiscreet = (text: string) => {
  for (const secret of ["mallory.secret", "Mallory", "secret-hash", "token-secret"]) {
    assert.notInclude(text.toLowerCase(), secret.toLowerCase())
  }
}

layer(TestDatabase.layerRepositories)("what nobody foresaw", (it) => {
  it.effect("is a defect that names an unknown constraint and shows no value", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      yield* Effect.acquireRelease(
        sql`
          ALTER TABLE users ADD CONSTRAINT users_unforeseen_check
          CHECK (full_name <> 'Mallory Secret') NOT VALID`,
        () => Effect.orDie(sql`ALTER TABLE users DROP CONSTRAINT users_unforeseen_check`),
      )

      const attempt = users.create(aUser(secrets))
      const { defect, cause } = yield* defectOf(attempt)

      assert.instanceOf(defect, UnexpectedDatabaseError)
      assert.strictEqual(defect.code, "23514")
      assert.strictEqual(defect.constraint, "users_unforeseen_check")
      assert.include(Cause.pretty(cause), "users_unforeseen_check")
      assertDiscreet(printed(defect))
      assertDiscreet(printed(cause))
      const spans = yield* tracedText(attempt)
      assert.includeMembers(spans.map((span) => span.split("\n")[0]), ["UserRepository.create"])
      assertDiscreet(spans.join("\n"))
    }))

  it.effect("is a defect that says where a row has an unknown shape and shows no value", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const { id } = yield* users.create(aUser(secrets))
      yield* sql`ALTER TYPE auth_provider_enum ADD VALUE 'token-secret'`
      yield* sql`ALTER TABLE users DROP CONSTRAINT users_auth_provider_check`
      yield* sql`UPDATE users SET auth_provider = 'token-secret' WHERE id = ${id}`

      const attempt = users.getByEmail(secrets.email)
      const { defect, cause } = yield* defectOf(attempt)

      assert.instanceOf(defect, UnexpectedDatabaseError)
      assert.include(defect.message, "authProvider")
      assertDiscreet(printed(defect))
      assertDiscreet(printed(cause))
      const spans = yield* tracedText(attempt)
      assert.isAtLeast(spans.length, 2)
      assertDiscreet(spans.join("\n"))
    }))

  it.effect("is a defect that shows no value of a request that its types forbid", () =>
    Effect.gen(function* () {
      const tokens = yield* RefreshTokenRepository
      const tooLong = TokenHash.make("token-secret".repeat(100), { disableChecks: true })

      const { userId } = yield* aSavedToken()
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        tokens.getByTokenHash(tooLong),
        tokens.create({ ...aToken(userId), tokenHash: tooLong }),
      ]
      for (const call of calls) {
        const { defect, cause } = yield* defectOf(call)
        assert.instanceOf(defect, UnexpectedDatabaseError)
        assertDiscreet(printed(cause))
      }
    }))
})

layer(TestDatabase.layerRepositories)("a violated constraint", (it) => {
  it.effect("shows no value of the row, in the error, its cause or a span", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const tokens = yield* RefreshTokenRepository
      const tokenHash = TokenHash.make("token-secret")
      const { userId } = yield* aSavedToken({ tokenHash })
      yield* users.create(aUser(secrets))
      const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        users.create(aUser(secrets)),
        users.create(aUser({ ...secrets, email: anEmail(), passwordHash: null })),
        users.create(aGoogleUser({ fullName: secrets.fullName, googleId: null })),
        tokens.create(aToken(userId, { tokenHash })),
        tokens.create(aToken(aUserId(), { tokenHash: TokenHash.make("token-secret-2") })),
      ]

      const tags = yield* Effect.forEach(attempts, (attempt) =>
        Effect.gen(function* () {
          assertDiscreet(printed(yield* causeOf(attempt)))
          const spans = yield* tracedText(attempt)
          assert.isAtLeast(spans.length, 2)
          assertDiscreet(spans.join("\n"))
          return (yield* Effect.flip(attempt))._tag
        }))
      assert.deepStrictEqual(tags, [
        "EmailTaken",
        "CredentialsMissing",
        "CredentialsMissing",
        "TokenHashTaken",
        "UserNotFound",
      ])
    }))
})
