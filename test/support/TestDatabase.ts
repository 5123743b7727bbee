/**
 * A database of its own for a test file, copied from the migrated template and dropped at the end.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"
import * as DatabaseUrl from "../../src/database/url/DatabaseUrl.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import "./ProvidedContext.ts"

/** How to connect to the server's maintenance database. */
export const serverConnection = DatabaseUrl.parse(Redacted.make(inject("serverUrl"))).pipe(
  Effect.map(({ parameters }) => parameters),
  Effect.provide(NodeServices.layer),
  Effect.orDie,
)

const onServer = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const connection = yield* serverConnection
    yield* SqlClient.SqlClient.use(statement).pipe(
      Effect.provide(Database.layer({ connection, maxConnections: 1 })),
    )
  }).pipe(Effect.orDie)

/** Creates a database, empty or a copy of `template`, and drops it when the scope closes. */
export const makeDatabase = Effect.fnUntraced(function* (template?: string) {
  const name = `latchkey_test_${crypto.randomUUID().replaceAll("-", "")}`
  yield* Effect.acquireRelease(
    onServer((sql) =>
      template === undefined
        ? sql`CREATE DATABASE ${sql(name)}`
        : sql`CREATE DATABASE ${sql(name)} TEMPLATE ${sql(template)}`
    ),
    () => onServer((sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`),
  )
  return { ...(yield* serverConnection), database: name } satisfies ConnectionParameters
})

/** How to connect to the test file's database. */
export class TestDatabase extends Context.Service<TestDatabase, {
  readonly connection: ConnectionParameters
}>()("latchkey/test/TestDatabase") {
  static readonly layer = Layer.effect(
    TestDatabase,
    Effect.map(makeDatabase(inject("template")), (connection) => ({ connection })),
  )

  /** `PgClient` and `SqlClient` on it. */
  static readonly layerClient = Layer.unwrap(
    TestDatabase.use(({ connection }) => Effect.succeed(Database.layer({ connection }))),
  ).pipe(Layer.provideMerge(TestDatabase.layer))

  /** The repositories on it, and the client under them. */
  static readonly layerRepositories = Layer.mergeAll(
    UserRepository.layer,
    RefreshTokenRepository.layer,
    LoginAttemptRepository.layer,
  ).pipe(Layer.provideMerge(TestDatabase.layerClient))
}
