/**
 * Roles that a service signs in as, and what operators do to databases and roles.
 */
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"
import { grant } from "../../src/migrator/Grant.ts"
import { makeDatabase, serverConnection } from "./TestDatabase.ts"

/** Runs statements as the superuser, one after the other, in a database. */
export const asSuperuser = (connection: ConnectionParameters, ...statements: Array<string>) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  ).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })), Effect.orDie)

/** A role that may sign in and no more, and how it does so; gone when the scope closes. */
export const aRole = Effect.fnUntraced(function* (connection: ConnectionParameters) {
  const server = yield* serverConnection
  const role = `latchkey_role_${crypto.randomUUID().replaceAll("-", "")}`
  yield* Effect.acquireRelease(
    asSuperuser(server, `CREATE ROLE ${role} LOGIN PASSWORD 'secret'`),
    () => asSuperuser(server, `DROP ROLE ${role}`),
  )
  return { ...connection, username: role, password: Redacted.make("secret") }
})

/** A database of its own, and a role that may do there what a service must. */
export const aServiceRole = Effect.fnUntraced(function* (template: string) {
  const server = yield* serverConnection
  // Made before the database, which is dropped first: what the role may do there goes with it.
  const role = yield* aRole(server)
  const owner = yield* makeDatabase(template)
  yield* grant(role.username).pipe(Effect.provide(Database.layer({ connection: owner })))
  return { owner, connection: { ...role, database: owner.database } }
})
