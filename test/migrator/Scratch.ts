/**
 * An empty database and an empty directory of migrations, for one test, gone after it.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, FileSystem, Layer, Path, Redacted, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import * as Database from "../../src/database/Database.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import "../support/ProvidedContext.ts"
import { makeDatabase } from "../support/TestDatabase.ts"

const make = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const scope = yield* Scope.Scope
  const connection = yield* makeDatabase()
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-migrations-" })
  const client = yield* Layer.build(Database.layer({ connection }))
  const sql = yield* Effect.provideContext(SqlClient.SqlClient, client)
  const migrator = Migrator.layerFrom(directory)
  const url = new URL(inject("serverUrl"))
  url.pathname = connection.database ?? ""
  return {
    /** `DATABASE_URL` for another process. */
    url: url.href,
    directory,
    connection,
    sql,
    /** Writes migrations, by their file names. */
    write: (files: Readonly<Record<string, string>>) =>
      Effect.forEach(
        Object.entries(files),
        ([name, content]) => fs.writeFileString(path.join(directory, name), content),
        { discard: true },
      ),
    remove: (name: string) => fs.remove(path.join(directory, name)),
    /** Uses a migrator on the files as they are now. */
    migrate: <A, E, R>(use: (migrator: Migrator["Service"]) => Effect.Effect<A, E, R>) =>
      Migrator.use(use).pipe(Effect.provide(migrator), Effect.provideContext(client)),
    /** The same on connections of their own, or of another role. */
    migrateOn: <A, E, R>(
      connection: ConnectionParameters,
      use: (migrator: Migrator["Service"]) => Effect.Effect<A, E, R>,
    ) =>
      Migrator.use(use).pipe(
        Effect.provide(Layer.provide(migrator, Database.layer({ connection }))),
      ),
    /** A role that may sign in and no more, until the test ends. */
    role: Effect.gen(function* () {
      const name = `latchkey_role_${crypto.randomUUID().replaceAll("-", "")}`
      const password = crypto.randomUUID()
      yield* sql`CREATE ROLE ${sql(name)} LOGIN PASSWORD ${sql.literal(`'${password}'`)}`
      yield* Scope.addFinalizer(
        scope,
        Effect.orDie(Effect.gen(function* () {
          yield* sql`REASSIGN OWNED BY ${sql(name)} TO CURRENT_USER`
          yield* sql`DROP OWNED BY ${sql(name)}`
          yield* sql`DROP ROLE ${sql(name)}`
        })),
      )
      return {
        name,
        connection: { ...connection, username: name, password: Redacted.make(password) },
      }
    }),
    /** The values of the first column. */
    column: (statement: string) =>
      Effect.map(sql.unsafe(statement).values, (rows) => rows.map(([value]) => value)),
  }
})

export class Scratch extends Context.Service<Scratch, Effect.Success<typeof make>>()(
  "latchkey/test/migrator/Scratch",
) {
  static readonly layer = Layer.effect(Scratch, make).pipe(Layer.provide(NodeServices.layer))
}
