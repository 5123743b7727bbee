import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"
import { requireUsable } from "../../src/database/requireUsable.ts"
import { lockTable } from "../faults/support/Cluster.ts"
import { aRole, aServiceRole, asSuperuser } from "../support/roles.ts"
import { makeDatabase } from "../support/TestDatabase.ts"

/** On a connection of its own. */
const checked = (connection: ConnectionParameters) =>
  Effect.provide(requireUsable, Database.layer({ connection, maxConnections: 1 }))

const refusalOf = (connection: ConnectionParameters) =>
  checked(connection).pipe(
    Effect.flip,
    Effect.map((error) => {
      assert(error._tag === "DatabaseUnusable")
      return error
    }),
  )

/** Each right that a service needs, and what takes it away. */
const rights: ReadonlyArray<readonly [right: string, object: string]> = [
  ...["users", "refresh_tokens", "login_attempts"].flatMap((table) =>
    ["SELECT", "INSERT", "UPDATE", "DELETE"].map((right) => [right, `public.${table}`] as const)
  ),
  ["SELECT", "public.latchkey_migrations"],
  ["USAGE", "public.users_version_seq"],
]

layer(Layer.empty, { excludeTestServices: true })("requireUsable", (it) => {
  it.effect("takes what grant gives, and names each right that is missing", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      const role = connection.username
      assert.deepStrictEqual(yield* checked(connection), [])
      for (const [right, object] of rights) {
        yield* asSuperuser(owner, `REVOKE ${right} ON ${object} FROM ${role}`)
        const { reason, message } = yield* refusalOf(connection)
        assert.strictEqual(reason, "rights-missing")
        assert.strictEqual(
          message,
          `The role "${role}" lacks ${right} on ${object}. ` +
            `Run \`deno task migrate grant ${role}\` as the owner of the tables.`,
        )
        yield* asSuperuser(owner, `GRANT ${right} ON ${object} TO ${role}`)
      }
      for (const name of ["begin_login_attempts", "login_counter_lock", "login_failures"]) {
        yield* asSuperuser(owner, `REVOKE EXECUTE ON FUNCTION public.${name} FROM PUBLIC`)
        assert.deepStrictEqual(yield* checked(connection), [])
        yield* asSuperuser(owner, `REVOKE EXECUTE ON FUNCTION public.${name} FROM ${role}`)
        assert.include((yield* refusalOf(connection)).message, `lacks EXECUTE on public.${name}.`)
        yield* asSuperuser(owner, `GRANT EXECUTE ON FUNCTION public.${name} TO ${role}`)
      }
      yield* asSuperuser(owner, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
      yield* asSuperuser(owner, `REVOKE USAGE ON SCHEMA public FROM ${role}`)
      const { reason, message } = yield* refusalOf(connection)
      assert.strictEqual(reason, "rights-missing")
      assert.include(message, "lacks USAGE on the schema public.")
    }))

  it.effect("names the tables in which row security hides rows, whatever the policies", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      yield* asSuperuser(
        owner,
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON users USING (true)",
        "ALTER TABLE login_attempts ENABLE ROW LEVEL SECURITY",
      )
      const { reason, message } = yield* refusalOf(connection)
      assert.strictEqual(reason, "row-security")
      assert.include(message, "in public.login_attempts, public.users.")
      // The owner of the tables sees all rows.
      assert.deepStrictEqual(yield* checked(owner), [])
    }))

  it.effect("says that the database is read-only", () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase(inject("template"))
      yield* asSuperuser(
        connection,
        `ALTER DATABASE "${connection.database}" SET default_transaction_read_only = on`,
      )
      assert.strictEqual((yield* refusalOf(connection)).reason, "database-read-only")
    }))

  it.effect("gives what is missing, also in a database that is empty", () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase(inject("template"))
      yield* asSuperuser(connection, "ALTER TABLE login_attempts RENAME TO attempts")
      assert.deepStrictEqual(yield* checked(connection), ["login_attempts"])
      assert.deepStrictEqual(yield* checked(yield* makeDatabase()), [
        "latchkey_migrations",
        "users",
        "refresh_tokens",
        "login_attempts",
        "users_version_seq",
      ])
    }))

  it.effect("waits for no lock of a table", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      for (const table of ["users", "refresh_tokens", "login_attempts", "latchkey_migrations"]) {
        yield* lockTable(owner, table, "ACCESS EXCLUSIVE")
      }
      assert.deepStrictEqual(yield* checked(connection), [])
    }))

  it.effect("says that the database is unreachable", () =>
    Effect.gen(function* () {
      const owner = yield* makeDatabase(inject("template"))
      const connection = yield* aRole(owner)
      yield* Effect.gen(function* () {
        yield* asSuperuser(
          owner,
          `REVOKE CONNECT ON DATABASE "${owner.database}" FROM PUBLIC`,
        )
        const error = yield* Effect.flip(requireUsable).pipe(
          Effect.provide(Database.layerSecondPool("readiness", 1)),
        )
        assert(error._tag === "DatabaseUnusable")
        assert.strictEqual(error.reason, "database-unreachable")
        assert.include(error.message, "(42501)")
      }).pipe(Effect.provide(Database.layer({ connection })))
    }))
})
