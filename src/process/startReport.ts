/**
 * What the log tells once of a service that has started: what it is, what it runs on, and with what.
 */
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Option } from "effect"
import type { SettingsShape } from "../config/Settings.ts"
import { buildInfo } from "./buildInfo.ts"

interface Session {
  readonly version: string
  readonly role: string
  readonly database: string
  /** The version of TLS; null where the connection has none. */
  readonly tls: string | null
}

/** https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-SSL-VIEW */
const session = PgClient.PgClient.use((sql) =>
  sql<Session>`
    SELECT
      pg_catalog.current_setting('server_version') AS version,
      session_user::pg_catalog.text AS role,
      pg_catalog.current_database()::pg_catalog.text AS database,
      (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()) AS tls`
)

/** What the database tells of itself; nothing where it went away just now. */
const describeDatabase = Effect.gen(function* () {
  const { config: { host = "localhost", port = 5432 } } = yield* PgClient.PgClient
  const [found] = yield* session
  return found === undefined ? {} : {
    postgresql: found.version,
    database: `${found.database} at ${host}:${port}`,
    role: found.role,
    tls: found.tls ?? "none",
  }
}).pipe(Effect.catch(() => Effect.succeed({ postgresql: "unknown" })))

/** What only the running service knows. */
export interface Running {
  readonly threads: number
  readonly keys: ReadonlyArray<string>
  /** Which patches of the runtime took hold. */
  readonly patches: string
}

const describeRetention = (
  { retentionInterval, retentionTokenDays, retentionAttemptDays }: SettingsShape,
) =>
  Option.match(retentionInterval, {
    onNone: () => "off",
    onSome: (interval) =>
      `every ${Duration.format(interval)}: tokens ${retentionTokenDays} days after their end, ` +
      `attempts after ${retentionAttemptDays} days`,
  })

/** Writes the entry. */
export const reportStart = Effect.fnUntraced(function* (
  settings: SettingsShape,
  { threads, keys, patches }: Running,
) {
  yield* Effect.logInfo("Started").pipe(Effect.annotateLogs({
    ...buildInfo(),
    ...yield* describeDatabase,
    pool: settings.databasePoolSize,
    threads,
    keys: keys.join(", "),
    retention: describeRetention(settings),
    patches,
  }))
})
