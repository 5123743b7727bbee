/** A running PostgreSQL, which lives no longer than its scope or, at the latest, this process. */
import { PgConnection } from "@effect/sql-pg"
import { Effect, Schedule } from "effect"
import type { ConnectionParameters } from "../database/ConnectionParameters.ts"
import { codeOf } from "../database/Constraints.ts"
import { cannotRun, spawnOptions } from "./Account.ts"
import type { Binaries } from "./Binaries.ts"
import { roleAndDatabase } from "./Cluster.ts"
import type { DataDir } from "./DataDir.ts"
import { EmbeddedPostgresEnded, PostgresNotStarted } from "./EmbeddedPostgresUnavailable.ts"
import {
  defaultPort,
  serverArguments,
  type ServerSettings,
  serverSettings,
} from "./serverArguments.ts"
import * as ServerLog from "./ServerLog.ts"
import * as ServerSocket from "./ServerSocket.ts"
import { watchdog } from "./watchdog.ts"

export interface Server {
  readonly connection: ConnectionParameters
  /** Fails when the server ends, also when that is because its scope closes. */
  readonly ended: Effect.Effect<never, EmbeddedPostgresEnded>
}

/** PostgreSQL is there, and not ready yet. */
const startingUp = "57P03"

/**
 * Starts the server and waits until it answers a query.
 *
 * @param settings win over the service's own
 */
export const start = Effect.fn("Server.start")(
  function* (dataDir: DataDir, binaries: Binaries, durable: boolean, settings: ServerSettings) {
    const port = Number(settings["port"] ?? defaultPort)
    const socket = yield* ServerSocket.open(dataDir, port)
    const connection = {
      host: socket.connectIn,
      port,
      database: roleAndDatabase,
      username: roleAndDatabase,
    }
    const offset = yield* ServerLog.end(dataDir)
    const failure = (detail: string) =>
      Effect.flatMap(
        ServerLog.tail(dataDir, offset),
        (output) => new PostgresNotStarted({ detail, output }),
      )
    const child = yield* spawn(dataDir, [
      binaries.postgres,
      ...serverArguments(dataDir, {
        ...serverSettings(dataDir, socket.listenIn, durable),
        ...settings,
      }),
    ])
    const ended = Effect.map(Effect.promise(() => child.status), howItEnded)
    yield* answers(socket, connection).pipe(
      Effect.catchTag(
        "SqlError",
        ({ reason }) => failure(`it does not let the service in (${reason.message})`),
      ),
      Effect.repeat({ until: (ready) => ready, schedule: Schedule.spaced("10 millis") }),
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () => failure("it did not answer within 30 seconds"),
      }),
      Effect.raceFirst(Effect.flatMap(ended, (how) => failure(`it ended with ${how}`))),
    )
    const server: Server = {
      connection,
      ended: Effect.flatMap(
        ended,
        (how) => new EmbeddedPostgresEnded({ how, log: dataDir.log }),
      ),
    }
    return server
  },
)

/** The watchdog ends with the exit code of the server, which of a signal is 128 more. */
const howItEnded = ({ code }: Deno.CommandStatus) =>
  code > 128 ? `signal ${code - 128}` : `exit code ${code}`

/** The server under its watchdog, in a session of its own: a terminal's Ctrl-C is not for them. */
const spawn = ({ account, log }: DataDir, command: Array<string>) =>
  Effect.acquireRelease(
    Effect.try({
      try: () =>
        new Deno.Command("/bin/sh", {
          ...spawnOptions(account),
          args: ["-c", watchdog, "watchdog", log, ...command],
          stdin: "piped",
          stdout: "null",
          stderr: "null",
          detached: true,
        }).spawn(),
      catch: (cause) => cannotRun("/bin/sh", cause),
    }),
    (child) =>
      Effect.promise(() => child.stdin.close().catch(() => {}).then(() => child.status)).pipe(
        Effect.timeoutOrElse({
          duration: "12 seconds",
          orElse: () => Effect.logWarning("The embedded PostgreSQL is still stopping"),
        }),
      ),
  )

/** Whether the server takes a query yet. */
const answers = Effect.fnUntraced(
  function* (socket: ServerSocket.ServerSocket, connection: ConnectionParameters) {
    if (!(yield* socket.isThere)) {
      return false
    }
    const client = yield* PgConnection.make(connection)
    yield* client.query("SELECT 1")
    return true
  },
  Effect.scoped,
  Effect.catchIf(
    (error) =>
      error._tag === "SqlError" &&
      (error.reason._tag === "ConnectionError" || codeOf(error) === startingUp),
    () => Effect.succeed(false),
  ),
)
