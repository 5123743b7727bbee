import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { anAttempt, aToken, aTokenHash, aUser, inOneDay } from "../support/factories.ts"
import { makeDatabase, TestDatabase } from "../support/TestDatabase.ts"

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
      assert.deepStrictEqual(yield* migrator.grant(role), [])
      assert.deepStrictEqual(yield* migrator.grant(role), [])

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
        yield* Migrator.use(({ verify }) => verify)

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

  it.effect.each(
    [
      ["a superuser", "ALTER ROLE $ SUPERUSER", "it is a superuser"],
      ["the owner of a table", "ALTER TABLE users OWNER TO $", "it owns users"],
      ["a member of the owner", "GRANT % TO $", "it owns effect_sql_migrations, "],
      ["a role with TRUNCATE", "GRANT TRUNCATE ON users TO $", "it has TRUNCATE on public.users"],
      [
        "a role with CREATE",
        "GRANT CREATE ON SCHEMA public TO $",
        "it may create in schema public",
      ],
      [
        "everybody with CREATE",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "it may create in schema",
      ],
      ["a role that makes schemas", "GRANT CREATE ON DATABASE @ TO $", "it may create schemas"],
    ] as const,
  )("says what %s can do beyond serving", ([, statement, expected]) =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase(inject("template"))
      const client = Database.layer({ connection })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { role } = yield* aRole
        yield* sql.unsafe(
          statement.replace("$", role).replace("@", `"${connection.database}"`)
            .replace("%", `"${connection.username}"`),
        )
        const excess = yield* Migrator.use(({ grant }) => grant(role))
        assert.include(excess.join("\n"), expected)
        if (statement.includes("OWNER")) yield* sql`ALTER TABLE users OWNER TO CURRENT_USER`
      }).pipe(Effect.scoped, Effect.provide(Migrator.layer.pipe(Layer.provideMerge(client))))
    }))

  it.effect("says that there is nothing to grant before migrations were applied", () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase()
      const { role } = yield* aRole
      const error = yield* Effect.flip(Migrator.use(({ grant }) => grant(role))).pipe(
        Effect.provide(Migrator.layer.pipe(Layer.provideMerge(Database.layer({ connection })))),
      )
      assert.strictEqual(error._tag, "NotMigrated")
      assert.include(error.message, "run `deno task migrate`")
    }))

  it.effect("names a role that does not exist", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Migrator.use(({ grant }) => grant("nobody_of_this_name")))
      assert.strictEqual(error._tag, "RoleUnknown")
      assert.include(error.message, "CREATE ROLE nobody_of_this_name")
    }).pipe(Effect.provide(Migrator.layer)))
})
