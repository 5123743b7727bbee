/**
 * The service as a process of its own, started as an operator starts it.
 */
import { Effect, Redacted, Schema } from "effect"
import { createHash } from "node:crypto"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"
import * as Program from "../../support/Program.ts"

/** The key that every service process knows, good for everything. */
export const apiKey = "key of the fault tests"

/** `API_KEYS` with it. */
export const apiKeys = JSON.stringify([
  { name: "faults", sha256: createHash("sha256").update(apiKey).digest("hex"), scopes: ["*"] },
])

/** `DATABASE_URL` of a database, or of the proxy before it at a port of this machine. */
export const databaseUrl = (connection: ConnectionParameters, proxyPort?: number) => {
  const { username, password, database } = connection
  const { host, port } = proxyPort === undefined
    ? connection
    : { host: "127.0.0.1", port: proxyPort }
  const secret = Redacted.isRedacted(password)
    ? `:${encodeURIComponent(String(Redacted.value(password)))}`
    : ""
  const server = encodeURIComponent(String(host))
  return `postgres://${username}${secret}@${server}:${port}/${database}?sslmode=disable`
}

export class ServiceNotStarted
  extends Schema.TaggedError<ServiceNotStarted>()("ServiceNotStarted", {
    output: Schema.String,
    /** How the process ended. */
    code: Schema.Int,
  }) {}

export interface ServiceProcess extends Program.Program {
  readonly port: number
}

/** Starts the service, and waits until it listens. Killed at the latest when the scope closes. */
export const start = Effect.fnUntraced(function* (
  variables: Record<string, string>,
  options: Program.StartOptions = {},
) {
  const program = yield* Program.start(
    ["run", "-A", "src/bin/main.ts"],
    { PORT: "0", API_KEYS: apiKeys, LOG_FORMAT: "json", ...variables },
    options,
  )
  const [, port] = yield* program.said(/Listening on http:\/\/[^"]*?:(\d+)/).pipe(
    Effect.catchDefect(() =>
      Effect.flatMap(program.ended, (end) => Effect.fail(new ServiceNotStarted(end)))
    ),
  )
  const service: ServiceProcess = { ...program, port: Number(port) }
  return service
})
