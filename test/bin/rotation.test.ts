import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Redacted, Schedule } from "effect"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import { type Call, makeClient } from "../faults/support/Client.ts"
import { apiKeys, databaseUrl } from "../faults/support/ServiceProcess.ts"
import * as Program from "../support/Program.ts"
import { aServiceRole, asSuperuser } from "../support/roles.ts"

layer(NodeServices.layer, { excludeTestServices: true })("DATABASE_URL_FILE", (it) => {
  it.effect("with another password is taken up by all threads of a sandboxed service", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const { owner, connection } = yield* aServiceRole(inject("template"))
      const file = yield* fs.makeTempFileScoped({ prefix: "latchkey-url-" })
      const write = (connection: ConnectionParameters) =>
        fs.writeFileString(file, `${databaseUrl(connection)}\n`)
      yield* write(connection)
      const service = yield* Program.start(["task", "serve"], {
        PORT: "0",
        THREADS: "2",
        LOG_FORMAT: "json",
        API_KEYS: apiKeys,
        DATABASE_URL_FILE: file,
      })
      const [, port] = yield* service.said(/Listening on http:\/\/[^"]*?:(\d+)/)
      const client = yield* makeClient
      const statusOf = (call: Call) =>
        Effect.map(
          client(Number(port), call),
          (outcome) => outcome._tag === "Answered" ? outcome.answer.status : outcome._tag,
        )
      const users = { method: "GET", path: "/v1/users" }
      const ready = { method: "GET", path: "/readyz" }
      const until = (call: Call, status: number) =>
        Effect.repeat(statusOf(call), {
          until: (found) => found === status,
          schedule: Schedule.spaced("50 millis"),
        })
      const rotate = (password: string) =>
        asSuperuser(
          owner,
          `ALTER ROLE ${connection.username} PASSWORD '${password}'`,
          `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
            WHERE usename = '${connection.username}'`,
        )
      assert.strictEqual(yield* statusOf(users), 200)

      yield* rotate("another secret")
      yield* until(users, 503)
      yield* until(ready, 503)
      yield* write({ ...connection, password: Redacted.make("another secret") })
      yield* until(ready, 200)
      // Many in a row: the system spreads connections over both threads.
      const many = Effect.forEach(Array(20), () => statusOf(users))
      yield* Effect.repeat(many, {
        until: (statuses) => statuses.every((status) => status === 200),
        schedule: Schedule.spaced("50 millis"),
      })
      // By the first thread alone, which may be the later one.
      yield* service.said(/new connections sign in as it says now/)
      assert.lengthOf(service.output().match(/new connections sign in as it says now/g) ?? [], 1)

      // What cannot be used leaves what can, and is told.
      yield* fs.writeFileString(file, "postgres://hunter2")
      yield* service.said(/Keeping previous DATABASE_URL: DATABASE_URL names no user/)
      yield* write({ ...connection, host: "elsewhere.example" })
      yield* service.said(/Keeping previous DATABASE_URL: it has changed in more/)
      assert.strictEqual(yield* statusOf(users), 200)
      yield* write({ ...connection, password: Redacted.make("another secret") })
      yield* service.said(/DATABASE_URL can be used again/)
      assert.strictEqual(yield* statusOf(ready), 200)
      yield* service.signal("SIGTERM")
      const { code, output } = yield* service.ended
      assert.strictEqual(code, 0)
      assert.notMatch(output, /another secret|hunter2/)
    }))
})
