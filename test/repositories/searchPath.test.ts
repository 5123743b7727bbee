import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { atOnce } from "../support/atOnce.ts"
import { anAttempt, aSuccessor, aToken, aUser } from "../support/factories.ts"
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
      yield* users.update(user.id, { fullName: "Ada" })
      const created = yield* atOnce(several.map(() => tokens.create(aToken(user.id))))
      yield* atOnce(
        created.map(({ tokenHash }) => tokens.rotate(tokenHash, aSuccessor())),
      )
      yield* atOnce(several.map(() => attempts.create(anAttempt({ userId: user.id }))))
      assert.strictEqual(yield* attempts.countRecentFailures(user.id), 10)
      assert.strictEqual(yield* tokens.revokeAllForUser(user.id), 10)
      yield* atOnce(others.map(({ id }) => users.delete(id)))

      assert.deepStrictEqual(yield* rowsIn("public"), [1, 20, 10])
      assert.deepStrictEqual(yield* rowsIn("app"), [0, 0, 0])
    }).pipe(Effect.scoped))
})
