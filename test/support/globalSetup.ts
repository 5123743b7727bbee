/**
 * One PostgreSQL for the run, and in it one migrated template that each test file's database is a
 * copy of: the server of `TEST_DATABASE_URL`, or an embedded one in a temporary directory.
 */
import { NodeServices } from "@effect/platform-node"
import { Config, Effect, Exit, FileSystem, Layer, Option, Redacted, Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { TestProject } from "vitest/node"
import * as Database from "../../src/database/Database.ts"
import * as DatabaseUrl from "../../src/database/url/DatabaseUrl.ts"
import { Migrator } from "../../src/migrator/Migrator.ts"
import { startOverTcp } from "./overTcp.ts"
import "./ProvidedContext.ts"

const startEmbedded = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const dataDir = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-test-" })
  const { username, password, host, port, database } = yield* startOverTcp({
    dataDir,
    durable: false,
    settings: { max_connections: 300 },
  })
  return `postgres://${username}:${Redacted.value(password)}@${host}:${port}/${database}`
})

const start = Effect.gen(function* () {
  const given = yield* Config.option(Config.String("TEST_DATABASE_URL"))
  const serverUrl = Option.isSome(given) ? given.value : yield* startEmbedded
  const { parameters } = yield* DatabaseUrl.parse(Redacted.make(serverUrl), {
    variable: "TEST_DATABASE_URL",
  })
  const template = `latchkey_template_${crypto.randomUUID().replaceAll("-", "")}`
  const server = yield* Layer.build(Database.layer({ connection: parameters, maxConnections: 1 }))
  yield* Effect.acquireRelease(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE DATABASE ${sql(template)}`
    }),
    () =>
      Effect.orDie(Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`DROP DATABASE ${sql(template)}`
      })),
  ).pipe(Effect.provideContext(server))
  const connection = { ...parameters, database: template }
  yield* Migrator.use((migrator) => migrator.up()).pipe(
    Effect.provide(Migrator.layer.pipe(Layer.provide(Database.layer({ connection })))),
  )
  return { serverUrl, template }
}).pipe(Effect.provide(NodeServices.layer))

export default async (project: TestProject) => {
  const scope = Scope.makeUnsafe()
  const close = (exit: Exit.Exit<unknown, unknown>) => Effect.runPromise(Scope.close(scope, exit))
  const exit = await Effect.runPromiseExit(Scope.provide(start, scope))
  if (Exit.isFailure(exit)) {
    await close(exit)
    throw new Error(`The test database could not be started: ${exit.cause}`)
  }
  project.provide("serverUrl", exit.value.serverUrl)
  project.provide("template", exit.value.template)
  return () => close(Exit.void)
}
