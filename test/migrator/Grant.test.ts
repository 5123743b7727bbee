import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { anAttempt, aToken, aTokenHash, aUser, inOneDay } from "../support/factories.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** A role that may only sign in, until the test's scope closes. */
const aRole = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const role = `latchkey_role_${crypto.randomUUID().replaceAll("-", "")}`
  const password = crypto.randomUUID()
  yield* Effect.acquireRelease(
    sql`CREATE ROLE ${sql(role)} LOGIN PASSWORD ${sql.literal(`'${password}'`)}`,
    () =>
      Effect.orDie(
        Effect.andThen(sql`DROP OWNED BY ${sql(role)}`, sql`DROP ROLE ${sql(role)}`),
      ),
  )
  const { connection } = yield* TestDatabase
  return {
    role,
    connection: { ...connection, username: role, password: Redacted.make(password) },
  }
})

layer(TestDatabase.layerClient, { excludeTestServices: true })("grant", (it) => {
  it.effect("lets a role do all that the service does, and change nothing of the schema", () =>
    Effect.gen(function* () {
      const { role, connection } = yield* aRole
      const migrator = yield* Migrator
      yield* migrator.grant(role)
      yield* migrator.grant(role)

      const served = Layer.mergeAll(
        UserRepository.layer,
        RefreshTokenRepository.layer,
        LoginAttemptRepository.layer,
        Migrator.layer,
      ).pipe(Layer.provideMerge(Database.layer({ connection })))
      yield* Effect.gen(function* () {
        const users = yield* UserRepository
        const tokens = yield* RefreshTokenRepository
        const attempts = yield* LoginAttemptRepository
        const user = yield* users.create(aUser())
        yield* users.update(user.id, { fullName: "Ada" })
        const token = yield* tokens.create(aToken(user.id))
        yield* tokens.rotate(token.tokenHash, {
          tokenHash: aTokenHash(),
          expiresAt: inOneDay(),
          userAgent: null,
          ipAddress: null,
        })
        assert.strictEqual(yield* tokens.revokeAllForUser(user.id), 1)
        yield* attempts.create(anAttempt({ userId: user.id }))
        assert.strictEqual(yield* attempts.countRecentFailures(user.id), 1)
        yield* tokens.deleteExpired()
        yield* attempts.deleteOld()
        yield* users.delete(user.id)
        yield* Migrator.use(({ requireCurrent }) => requireCurrent)

        const sql = yield* SqlClient.SqlClient
        for (
          const statement of [
            sql`CREATE TABLE public.mine ()`,
            sql`ALTER TABLE users ADD COLUMN mine text`,
            sql`DROP INDEX users_email_key`,
            sql`TRUNCATE users CASCADE`,
            sql`DELETE FROM latchkey_migrations`,
            sql`ALTER TABLE users DISABLE TRIGGER ALL`,
          ]
        ) {
          const { reason } = yield* Effect.flip(statement)
          assert.strictEqual(reason._tag, "AuthorizationError")
        }
      }).pipe(Effect.provide(served))
    }).pipe(Effect.provide(Migrator.layer)))

  it.effect("names a role that does not exist", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Migrator.use(({ grant }) => grant("nobody_of_this_name")))
      assert.strictEqual(error._tag, "RoleUnknown")
      assert.include(error.message, "CREATE ROLE nobody_of_this_name")
    }).pipe(Effect.provide(Migrator.layer)))
})
