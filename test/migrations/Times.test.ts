/**
 * What the columns of times hold: years 1 to 9999, for every writer, and how a database that holds
 * others is brought there.
 */
import { assert, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { constraintOf } from "../../src/database/Constraints.ts"
import * as Database from "../../src/database/Database.ts"
import { MigrationFailed } from "../../src/migrator/MigrationFailed.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { aSavedAttempt, aSavedToken } from "../support/saved.ts"
import { makeDatabase, TestDatabase } from "../support/TestDatabase.ts"

const columns = [
  ["users", "created_at"],
  ["users", "updated_at"],
  ["users", "email_verified_at"],
  ["refresh_tokens", "created_at"],
  ["refresh_tokens", "revoked_at"],
  ["refresh_tokens", "signed_in_at"],
  ["refresh_tokens", "session_expires_at"],
  ["refresh_tokens", "expires_at"],
  ["users", "failures_forgiven_at"],
  ["login_attempts", "attempted_at"],
  ["login_attempts", "completed_at"],
] as const

const unreadable = ["infinity", "-infinity", "4000-01-01 00:00:00+00 BC", "20000-01-01 00:00:00+00"]

/** The last one is rounded to the year 10000. */
const outside = [...unreadable, "0001-12-31 23:59:59+00 BC", "9999-12-31 23:59:59.9999+00"]

const inside = ["0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999+00"] as const

/** Writes a time as psql would; the trigger sets `updated_at` itself. */
const write = Effect.fnUntraced(function* (table: string, column: string, time: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE users DISABLE TRIGGER users_set_version`
  yield* sql`UPDATE ${sql(table)} SET ${sql(column)} = ${time}::timestamptz`
  yield* sql`ALTER TABLE users ENABLE TRIGGER users_set_version`
})

layer(TestDatabase.layerRepositories)("columns of times", (it) => {
  it.effect("hold years 1 to 9999 and nothing else, whoever writes", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* aSavedToken()
      yield* aSavedAttempt()
      // No token outlives its session; so this one's may end at any time that there is.
      yield* write("refresh_tokens", "expires_at", inside[0])
      for (const [table, column] of columns) {
        for (const time of outside) {
          const error = yield* write(table, column, time).pipe(sql.withTransaction, Effect.flip)
          assert.strictEqual(constraintOf(error), `${table}_${column}_check`, time)
        }
        for (const time of inside) yield* write(table, column, time)
      }
    }))

  it.effect("are all of the database's columns of times", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql`
        SELECT relname, attname
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
          AND relname NOT IN ('latchkey_migrations', 'effect_sql_migrations')
          AND format_type(atttypid, atttypmod) ~ '^(date|timestamp)'`.values
      assert.sameDeepMembers([...rows], [...columns])
    }))
})

const migrated = <A, E>(
  use: Effect.Effect<
    A,
    E,
    Migrator | RefreshTokenRepository | SqlClient.SqlClient | UserRepository
  >,
) =>
  Effect.gen(function* () {
    const connection = yield* makeDatabase()
    return yield* use.pipe(Effect.provide(
      Layer.mergeAll(Migrator.layer, UserRepository.layer, RefreshTokenRepository.layer).pipe(
        Layer.provideMerge(Database.layer({ connection })),
      ),
    ))
  })

/** A row as code of the third migration writes it: the repositories know later columns. */
const aUserOfBefore = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const id = crypto.randomUUID()
  yield* sql`
    INSERT INTO users (id, email, auth_provider, password_hash)
    VALUES (${id}, ${`${id}@example.com`}, 'email', 'hash')`
  return id
})

it.live("migrating names rows of before whose times cannot be read, and goes on once they can", () =>
  migrated(Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const migrator = yield* Migrator
    yield* migrator.up({ to: 3 })
    const id = yield* aUserOfBefore
    yield* aUserOfBefore
    yield* write("users", "created_at", "2026-01-01 00:00:00+00")
    yield* sql`UPDATE users SET created_at = 'infinity' WHERE id = ${id}`

    const error = yield* Effect.flip(migrator.up())
    assert.instanceOf(error, MigrationFailed)
    assert.strictEqual(error.file, "0004_times_and_versions.sql")
    assert.include(error.reason, "users_created_at_check")
    const [, query = ""] = /`(SELECT [^`]*)`/.exec(error.message) ?? []
    assert.deepStrictEqual(yield* sql.unsafe(query).values, [[id]])

    // The code of before goes on, and nobody writes more such rows.
    yield* aUserOfBefore
    const refused = yield* Effect.flip(sql`UPDATE users SET created_at = '-infinity'`)
    assert.strictEqual(constraintOf(refused), "users_created_at_check")

    yield* sql`UPDATE users SET created_at = now() WHERE id = ${id}`
    assert.deepStrictEqual((yield* migrator.up({ to: 4 })).map(({ file }) => file.id), [4])
    yield* migrator.up()
    assert.deepStrictEqual(yield* migrator.drift, [])
    const users = yield* UserRepository
    assert.lengthOf((yield* users.list({ limit: 10 })).items, 3)
  })))
