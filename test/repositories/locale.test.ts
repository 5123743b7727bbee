import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { Email } from "../../src/domain/Email.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { aUser } from "../support/factories.ts"
import { aSavedAttempt } from "../support/saved.ts"
import { serverConnection } from "../support/TestDatabase.ts"

const name = `latchkey_test_${crypto.randomUUID().replaceAll("-", "")}`

const onServer = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.flatMap(serverConnection, (connection) =>
    SqlClient.SqlClient.use(statement).pipe(
      Effect.provide(Database.layer({ connection, maxConnections: 1 })),
    )).pipe(Effect.orDie)

/** A migrated database whose own `lower('I')` is a dotless `ı`. */
const TurkishDatabase = Layer.unwrap(Effect.gen(function* () {
  yield* Effect.acquireRelease(
    onServer((sql) =>
      sql`
        CREATE DATABASE ${sql(name)} TEMPLATE template0
        ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr'`
    ),
    () => onServer((sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`),
  )
  const client = Database.layer({ connection: { ...(yield* serverConnection), database: name } })
  return Layer.mergeAll(UserRepository.layer, LoginAttemptRepository.layer).pipe(
    Layer.provideMerge(Layer.effectDiscard(Migrator.use((migrator) => migrator.up()))),
    Layer.provide(Migrator.layer),
    Layer.provideMerge(client),
  )
}))

layer(TurkishDatabase)("in a database of another language", (it) => {
  it.effect("the case of letters means what it means everywhere", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const attempts = yield* LoginAttemptRepository
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`SELECT lower('I') AS letter`, [{ letter: "ı" }])

      const capitals = Email.make("IDA@EXAMPLE.COM")
      const small = Email.make("ida@example.com")
      const user = yield* users.create(aUser({ email: capitals }))
      yield* aSavedAttempt({ email: capitals })

      for (const email of [capitals, small]) {
        assert.deepStrictEqual(yield* users.getByEmail(email), Option.some(user))
        assert.strictEqual(yield* attempts.countRecentFailuresFrom({ email }), 1)
        const error = yield* users.create(aUser({ email })).pipe(Effect.flip)
        assert.strictEqual(error._tag, "EmailTaken")
      }
    }))
})
