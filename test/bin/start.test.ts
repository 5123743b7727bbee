import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import { makeClient } from "../faults/support/Client.ts"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import { answered } from "../faults/support/Stage.ts"
import { aServiceRole, asSuperuser } from "../support/roles.ts"

const start = (connection: ConnectionParameters, variables: Record<string, string> = {}) =>
  ServiceProcess.start({
    DATABASE_URL: ServiceProcess.databaseUrl(connection),
    ...variables,
  })

const LogLine = Schema.fromJsonString(
  Schema.Struct({ level: Schema.String, message: Schema.String }),
)

/** What the service says before it exits with 1: beside warnings, one sentence without a stack. */
const lastWords = Effect.fnUntraced(function* (connection: ConnectionParameters) {
  const { code, output } = yield* Effect.flip(start(connection))
  assert.strictEqual(code, 1)
  const lines = yield* Effect.forEach(
    output.trim().split("\n"),
    (line) => Schema.decodeEffect(LogLine)(line),
  )
  const words = lines.filter(({ level }) => level !== "WARN").map(({ message }) => message)
  assert.strictEqual(words.length, 1, output)
  return words.join()
})

layer(Layer.empty, { excludeTestServices: true })("the start of the service", (it) => {
  it.effect("is refused with a sentence while a right is missing, then rows are hidden", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      const role = connection.username
      yield* asSuperuser(owner, `REVOKE DELETE ON refresh_tokens FROM ${role}`)
      assert.strictEqual(
        yield* lastWords(connection),
        `The role "${role}" lacks DELETE on public.refresh_tokens. ` +
          `Run \`deno task migrate grant ${role}\` as the owner of the tables.`,
      )
      yield* asSuperuser(
        owner,
        `GRANT DELETE ON refresh_tokens TO ${role}`,
        "ALTER TABLE login_attempts ENABLE ROW LEVEL SECURITY",
      )
      assert.include(yield* lastWords(connection), "Row security hides rows from the role")
    }))

  it.effect("is refused with a sentence while triggers do nothing", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      yield* asSuperuser(
        owner,
        `ALTER DATABASE "${owner.database}" SET session_replication_role = replica`,
      )
      assert.include(yield* lastWords(connection), 'session_replication_role is "replica"')
    }))

  it.effect("on a database that is read-only succeeds, and the service is ready when it is not", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      const database = `"${owner.database}"`
      yield* asSuperuser(owner, `ALTER DATABASE ${database} SET default_transaction_read_only = on`)
      const service = yield* start(connection)
      const client = yield* makeClient
      const ready = { method: "GET", path: "/readyz" }
      const { answer } = yield* answered({ service, client }, 503, ready)
      assert.strictEqual(answer.json["detail"], "database-read-only")
      assert.include(service.output(), "The database is read-only; writes need the primary.")

      yield* asSuperuser(
        { ...owner, startupOptions: "-c default_transaction_read_only=off" },
        `ALTER DATABASE ${database} RESET default_transaction_read_only`,
      )
      yield* Effect.repeat(client(service.port, ready), {
        until: (outcome) => outcome._tag === "Answered" && outcome.answer.status === 200,
        schedule: Schedule.spaced("50 millis"),
      })
    }))

  it.effect("warns of settings of the server that may lose commits, and loses none of its own", () =>
    Effect.gen(function* () {
      const { owner, connection } = yield* aServiceRole(inject("template"))
      yield* asSuperuser(
        owner,
        `ALTER ROLE ${connection.username} IN DATABASE "${owner.database}" SET synchronous_commit = off`,
      )
      const service = yield* start(connection, { THREADS: "2" })
      const warnings = service.output().split("\n").filter((line) =>
        line.includes("synchronous_commit is off by default")
      )
      assert.strictEqual(warnings.length, 1, service.output())
    }))
})
