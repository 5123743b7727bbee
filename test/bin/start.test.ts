import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import { makeClient } from "../faults/support/Client.ts"
import * as Proxy from "../faults/support/Proxy.ts"
import * as ServiceProcess from "../faults/support/ServiceProcess.ts"
import { answered } from "../faults/support/Stage.ts"
import * as Program from "../support/Program.ts"
import { aServiceRole, asSuperuser } from "../support/roles.ts"
import { makeDatabase } from "../support/TestDatabase.ts"

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

  it.effect("waits for a database that is away, and says so once", () =>
    Effect.gen(function* () {
      const connection = yield* makeDatabase(inject("template"))
      const proxy = yield* Proxy.make(connection)
      yield* proxy.behave({ _tag: "Reset" })
      const starting = yield* Effect.forkChild(ServiceProcess.start({
        DATABASE_URL: ServiceProcess.databaseUrl(connection, proxy.port),
      }))
      yield* proxy.untilRefused(3)
      yield* proxy.behave({ _tag: "Pass" })
      const service = yield* Fiber.join(starting)
      const lines = service.output().match(/Waiting for the database.*ECONNRESET/g) ?? []
      assert.lengthOf(lines, 1, service.output())
      assert.match(service.output(), /Waited \d+s for the database, which can be used now/)
    }))

  const nowhere = {
    DATABASE_URL: "postgres://u@%2Fnonexistent/d",
    API_KEYS: ServiceProcess.apiKeys,
  }

  it.effect("is given up after START_TIMEOUT, in the sentence of the last try", () =>
    Effect.gen(function* () {
      const program = yield* Program.start(["run", "-A", "src/bin/main.ts"], {
        ...nowhere,
        START_TIMEOUT: "1s",
        LOG_FORMAT: "json",
      })
      const { code, output } = yield* program.ended
      assert.strictEqual(code, 1)
      assert.match(
        output,
        /there is no such socket; .* \(ENOENT\)\. It was waited for \ds in vain\./,
      )
    }))

  it.effect("that waits ends with 0 at a signal", () =>
    Effect.gen(function* () {
      const program = yield* Program.start(["run", "-A", "src/bin/main.ts"], {
        ...nowhere,
        START_TIMEOUT: "24h",
      })
      yield* program.said(/Waiting for the database/)
      yield* program.signal("SIGTERM")
      assert.strictEqual((yield* program.ended).code, 0)
    }))

  it.effect("does not wait where it would be in vain", () =>
    Effect.gen(function* () {
      const connection = { ...yield* makeDatabase(), username: "latchkey_nobody" }
      assert.include(yield* lastWords(connection), 'as user "latchkey_nobody": ')
      const { output } = yield* Effect.flip(start(yield* makeDatabase()))
      assert.notInclude(output, "Waiting for the database")
    }))
})
