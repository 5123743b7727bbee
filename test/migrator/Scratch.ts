/**
 * An empty database and an empty directory of migrations, for one test, gone after it.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, FileSystem, Layer, Path } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import * as Database from "../../src/database/Database.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import "../support/ProvidedContext.ts"
import { makeDatabase } from "../support/TestDatabase.ts"

const make = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const connection = yield* makeDatabase()
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-migrations-" })
  const client = yield* Layer.build(Database.layer({ connection }))
  const sql = yield* Effect.provideContext(SqlClient.SqlClient, client)
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
      Migrator.use(use).pipe(
        Effect.provide(Migrator.layerFrom(directory)),
        Effect.provideContext(client),
      ),
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
