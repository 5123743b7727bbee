import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { atOnce } from "../support/atOnce.ts"
import { aGoogleId, anAttempt, anEmail, aSuccessor, aToken, aUser } from "../support/factories.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const Repositories = Layer.mergeAll(
  UserRepository.layer,
  RefreshTokenRepository.layer,
  LoginAttemptRepository.layer,
)

/** Another application's tables and types of the same names. */
const strangersSchema = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE SCHEMA app`
  yield* sql`CREATE TYPE app.auth_provider_enum AS ENUM ('local')`
  for (const table of ["users", "refresh_tokens", "login_attempts"]) {
    yield* sql`CREATE TABLE ${sql(`app.${table}`)} (LIKE ${sql(`public.${table}`)} INCLUDING ALL)`
  }
})

const rowsIn = (schema: string) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql<{ readonly rows: number }>`
        SELECT count(*)::int AS rows FROM ${sql(`${schema}.users`)} UNION ALL
        SELECT count(*)::int FROM ${sql(`${schema}.refresh_tokens`)} UNION ALL
        SELECT count(*)::int FROM ${sql(`${schema}.login_attempts`)}`,
      (counts) => counts.map(({ rows }) => rows),
    )
  )

layer(TestDatabase.layerClient, { excludeTestServices: true })("the repositories", (it) => {
  it.effect("use their own tables where their session's search_path has others of these names first", () =>
    Effect.gen(function* () {
      yield* strangersSchema
      const { connection } = yield* TestDatabase
      const services = yield* Layer.build(
        Layer.fresh(Repositories).pipe(
          Layer.provideMerge(Database.layer({ connection, maxConnections: 1 })),
        ),
      )
      // In its only session: a role's default would not get that far.
      yield* Effect.provideContext(
        SqlClient.SqlClient.use((sql) => sql`SET search_path = app, public`),
        services,
      )
      const users = Context.get(services, UserRepository)
      const tokens = Context.get(services, RefreshTokenRepository)
      const attempts = Context.get(services, LoginAttemptRepository)
      const several = Array.from({ length: 10 })

      const [user, ...others] = yield* atOnce(several.map(() => users.create(aUser())))
      assert.isDefined(user)
      const changed = yield* users.update(user.id, { fullName: "Ada" })
      const created = yield* atOnce(several.map(() => tokens.create(aToken(user.id))))
      const rotated = yield* atOnce(
        created.map(({ tokenHash }) => tokens.rotate(tokenHash, aSuccessor())),
      )
      const withUser = yield* atOnce(
        rotated.map(({ tokenHash }) => tokens.rotateWithUser(tokenHash, aSuccessor())),
      )
      const found = yield* atOnce(
        withUser.map(({ token }) => tokens.getValidWithUser(token.tokenHash)),
      )
      assert.deepStrictEqual(found, withUser.map(Option.some))
      const [first] = created
      assert.isDefined(first)
      yield* tokens.rotateWithUser(first.tokenHash, aSuccessor(), { onReuse: "revoke-session" })
        .pipe(
          Effect.flip,
        )
      const [limited, ended] = [
        yield* tokens.create(aToken(user.id, { maxSessions: 10 })),
        yield* tokens.create(aToken(user.id, { userVersion: changed.version })),
      ]
      yield* tokens.rotate(limited.tokenHash, aSuccessor())
      yield* tokens.rotate(limited.tokenHash, aSuccessor(), { graceSeconds: 60 })
      assert.strictEqual(yield* tokens.revokeSession(user.id, limited.sessionId), 2)
      yield* tokens.revoke(ended.tokenHash)
      assert.lengthOf((yield* tokens.listSessions(user.id, { limit: 100 })).items, 9)
      yield* atOnce(several.map(() => attempts.create(anAttempt({ userId: user.id }))))
      assert.strictEqual(yield* attempts.countRecentFailures(user.id), 10)
      assert.strictEqual(yield* tokens.revokeAllForUser(user.id), 9)
      yield* tokens.create(aToken(user.id))
      yield* users.update(user.id, { isActive: false })
      assert.deepStrictEqual((yield* tokens.listSessions(user.id, { limit: 100 })).items, [])
      yield* atOnce(others.map(({ id }) => users.delete(id)))
      const google = yield* users.getOrCreateByGoogleId(aGoogleId(), {
        email: anEmail(),
        emailVerified: true,
        fullName: null,
        onEmailTaken: "link",
      })
      assert.isTrue(google.isNew)
      const stranger = yield* users.create(aUser())
      yield* tokens.create(aToken(stranger.id))
      const takenOver = yield* users.getOrCreateByGoogleId(aGoogleId(), {
        email: stranger.email,
        emailVerified: true,
        fullName: null,
        onEmailTaken: "link",
      })
      assert.strictEqual(takenOver.user.id, stranger.id)
      yield* users.update(stranger.id, {}, { revokeSessions: {} })

      assert.deepStrictEqual(yield* rowsIn("public"), [3, 36, 10])
      assert.deepStrictEqual(yield* rowsIn("app"), [0, 0, 0])
    }).pipe(Effect.scoped))
})
