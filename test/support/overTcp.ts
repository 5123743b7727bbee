/**
 * An embedded server that can be reached at a port of the loopback interface too, with a password:
 * for proxies, poolers and programs that do not speak to a Unix socket. The service's own never can.
 */
import { NodeServices } from "@effect/platform-node"
import { PgConnection } from "@effect/sql-pg"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import type { ConnectionParameters } from "../../src/database/ConnectionParameters.ts"
import {
  EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from "../../src/embedded/EmbeddedPostgres.ts"

/** A port that was free a moment ago. */
const freePort = Effect.sync(() => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 })
  const { port } = listener.addr
  listener.close()
  return port
})

/** The settings for it; roles other than the service's own sign in as `method` says. */
export const tcpSettings = Effect.fnUntraced(function* (method: "scram-sha-256" | "trust") {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "latchkey-hba-" })
  yield* fs.chmod(directory, 0o755)
  const hba_file = `${directory}/hba.conf`
  yield* fs.writeFileString(
    hba_file,
    `local all latchkey peer map=latchkey\nhost all,replication all 127.0.0.1/32 ${method}\n`,
  )
  yield* fs.chmod(hba_file, 0o644)
  return { listen_addresses: "127.0.0.1", port: yield* freePort, hba_file }
})

/** Starts a server in the scope of the caller. */
export const startOverTcp = Effect.fnUntraced(
  function* (options: EmbeddedPostgresOptions) {
    const settings = yield* tcpSettings("scram-sha-256")
    const services = yield* Layer.build(
      EmbeddedPostgres.layer({ ...options, settings: { ...options.settings, ...settings } }),
    )
    const { connection } = yield* Effect.provideContext(EmbeddedPostgres, services)
    const password = crypto.randomUUID()
    const client = yield* PgConnection.make(connection)
    yield* client.query(`ALTER ROLE ${connection.username} PASSWORD '${password}'`)
    return {
      ...connection,
      host: "127.0.0.1",
      password: Redacted.make(password),
    } satisfies ConnectionParameters
  },
  Effect.provide(NodeServices.layer),
  // Another program may take the port between the look for it and the server's own attempt.
  Effect.retry({
    times: 4,
    while: (error) =>
      error._tag === "PostgresNotStarted" && error.output.includes("could not bind"),
  }),
)
