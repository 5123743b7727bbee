/**
 * What a fault test breaks: a service process, the database under it, and the network between them.
 */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"
import * as Database from "../../../src/database/Database.ts"
import { grant } from "../../../src/migrator/Grant.ts"
import { makeDatabase, serverConnection } from "../../support/TestDatabase.ts"
import { type Call, type Client, makeClient } from "./Client.ts"
import { query } from "./Cluster.ts"
import * as Proxy from "./Proxy.ts"
import * as ServiceProcess from "./ServiceProcess.ts"

export interface StageShape {
  /** Of the database itself, past the proxy. */
  readonly connection: ConnectionParameters
  readonly proxy: Proxy.Proxy
  readonly service: ServiceProcess.ServiceProcess
  readonly client: Client
}

export const make = Effect.fnUntraced(function* (
  connection: ConnectionParameters,
  variables: Record<string, string> = {},
) {
  const proxy = yield* Proxy.make(connection)
  const url = ServiceProcess.databaseUrl(connection, proxy.port)
  const service = yield* ServiceProcess.start({ DATABASE_URL: url, ...variables })
  const client = yield* makeClient
  return { connection, proxy, service, client } satisfies StageShape
})

/** A database on the server of the run, and a role that may do there what a service must. */
const makeDatabaseAndRole = Effect.gen(function* () {
  const server = query(yield* serverConnection)
  const role = `latchkey_app_${crypto.randomUUID().replaceAll("-", "")}`
  yield* Effect.acquireRelease(
    server(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`),
    () => server(`DROP ROLE ${role}`),
  )
  const connection = yield* makeDatabase(inject("template"))
  yield* Effect.provide(grant(role), Database.layer({ connection }))
  return { connection, role }
})

export class Stage extends Context.Service<
  Stage,
  StageShape & {
    /** That the service signs in as. */
    readonly role: string
  }
>()("latchkey/test/faults/Stage") {
  /** On a database of its own on the server of the run. */
  static readonly layer = (variables: Record<string, string> = {}) =>
    Layer.effect(
      Stage,
      Effect.gen(function* () {
        const { connection, role } = yield* makeDatabaseAndRole
        const signIn = { ...connection, username: role, password: Redacted.make("secret") }
        return { ...(yield* make(signIn, variables)), connection, role }
      }),
    )
}

/** Sends a call that must be answered, with this status, and gives the answer. */
export const answered = Effect.fnUntraced(function* (
  { client, service }: Pick<StageShape, "client" | "service">,
  status: number,
  call: Call,
) {
  const outcome = yield* client(service.port, call)
  assert(outcome._tag === "Answered", `${call.method} ${call.path}: ${JSON.stringify(outcome)}`)
  assert.strictEqual(outcome.answer.status, status, outcome.answer.text)
  return outcome
})

/** A call that must be told that the database is unavailable, and when to come again. */
export const assertUnavailable = Effect.fnUntraced(function* (
  stage: Pick<StageShape, "client" | "service">,
  call: Call,
) {
  const outcome = yield* answered(stage, 503, call)
  const { json, headers } = outcome.answer
  assert.strictEqual(json["type"], "https://latchkey.dev/problems/database-unavailable")
  assert.isAbove(Number(headers["retry-after"]), 0)
  return outcome
})

/** The process lives all the time; whether it takes requests depends on the database. */
export const assertHealth = Effect.fnUntraced(function* (
  stage: Pick<StageShape, "client" | "service">,
  ready: boolean,
) {
  yield* answered(stage, 200, { method: "GET", path: "/livez" })
  const { answer } = yield* answered(stage, ready ? 200 : 503, { method: "GET", path: "/readyz" })
  if (!ready) {
    assert.strictEqual(answer.json["type"], "https://latchkey.dev/problems/not-ready")
    assert.isAbove(Number(answer.headers["retry-after"]), 0)
  }
})

/** A new user's sign-up, and the user's id. */
export const aSignUp = () => {
  const id = crypto.randomUUID()
  const call: Call = {
    method: "POST",
    path: "/v1/users",
    json: { email: `${id}@example.com`, authProvider: "email", passwordHash: "hash" },
    headers: { "idempotency-key": id },
  }
  return { id, call }
}
