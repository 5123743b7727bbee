/** A running PostgreSQL, which lives no longer than its scope or, at the latest, this process. */
import { PgConnection } from "@effect/sql-pg"
import { Effect, type Redacted, Schedule } from "effect"
import type { ConnectionParameters } from "../ConnectionParameters.ts"
import { cannotRun, spawnOptions } from "./Account.ts"
import type { Binaries } from "./Binaries.ts"
import { roleAndDatabase } from "./Cluster.ts"
import type { DataDir } from "./DataDir.ts"
import { DataDirUnusable, PostgresNotStarted } from "./EmbeddedPostgresUnavailable.ts"
import * as Postmaster from "./Postmaster.ts"
import { host, serverArguments, type ServerSettings } from "./serverArguments.ts"
import * as ServerLog from "./ServerLog.ts"
import { watchdog } from "./watchdog.ts"

/** Starts the server and waits until it answers a query. */
export const start = Effect.fn("Server.start")(
  function* (
    dataDir: DataDir,
    binaries: Binaries,
    settings: ServerSettings,
    password: Redacted.Redacted,
  ) {
    const port = yield* freePort
    const connection: ConnectionParameters = {
      host,
      port,
      database: roleAndDatabase,
      username: roleAndDatabase,
      password,
    }
    const offset = yield* ServerLog.end(dataDir)
    const failure = (detail: string) =>
      Effect.flatMap(
        ServerLog.tail(dataDir, offset),
        (output) => new PostgresNotStarted({ detail, output }),
      )
    const child = yield* spawn(dataDir, [
      binaries.postgres,
      ...serverArguments(dataDir, settings, port),
    ])
    const ended = Effect.promise(() => child.status)
    yield* answers(dataDir, port, connection).pipe(
      Effect.repeat({ until: (ready) => ready, schedule: Schedule.spaced("10 millis") }),
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () => failure("it did not answer within 30 seconds"),
      }),
      Effect.raceFirst(
        Effect.flatMap(ended, ({ code }) => failure(`it ended with exit code ${code}`)),
      ),
    )
    yield* ended.pipe(
      Effect.andThen(Effect.logError("The embedded PostgreSQL ended. Start the service again.")),
      Effect.forkScoped,
    )
    return connection
  },
  // Another program may take the port between the look for it and the server's own attempt.
  Effect.retry({
    times: 4,
    while: (error) =>
      error._tag === "PostgresNotStarted" && error.output.includes("could not bind"),
  }),
)

/** A port that was free a moment ago. */
const freePort = Effect.sync(() => {
  const listener = Deno.listen({ hostname: host, port: 0 })
  const { port } = listener.addr
  listener.close()
  return port
})

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
  function* (dataDir: DataDir, port: number, connection: ConnectionParameters) {
    // Asked first, since whoever answers on the port could be another program that was quicker.
    if (!(yield* Postmaster.isReady(dataDir, port))) {
      return false
    }
    const client = yield* PgConnection.make(connection)
    yield* client.query("SELECT 1")
    return true
  },
  Effect.scoped,
  (effect, { dataDir, directory, password }) =>
    Effect.catchTag(
      effect,
      "SqlError",
      ({ reason }) =>
        reason._tag === "AuthenticationError"
          ? new DataDirUnusable({
            dataDir,
            detail: `the password in ${password} is not that of the database. Restore the file, ` +
              `or delete ${directory} to start with an empty database.`,
          })
          : Effect.succeed(false),
    ),
)
