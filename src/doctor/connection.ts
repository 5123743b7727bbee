/**
 * Whether the database can be reached, how safely, and what time it is there.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { isIP } from "node:net"
import type { ConnectionParameters } from "../database/ConnectionParameters.ts"
import type { DatabaseUnreachable } from "../database/DatabaseUnreachable.ts"
import type { Check } from "./Check.ts"
import { error, ok, type Seen, warning } from "./Finding.ts"

const advice: Readonly<Record<DatabaseUnreachable["reason"], string>> = {
  busy: "Lower DATABASE_POOL_SIZE, or raise max_connections of the server.",
  credentials: "Correct DATABASE_URL, or the role's password or pg_hba.conf at the server.",
  database: "Correct DATABASE_URL, or create the database and migrate it.",
  network: "Start the server, or correct host and port of DATABASE_URL and what is between.",
  rights: "Grant what is named, as the owner of the database.",
  settings: "Do as the sentence says; the service refuses to start until then.",
  standby: "Name the primary in DATABASE_URL.",
  tls: "Correct the server's certificate, or sslmode and DATABASE_CA_FILE.",
  version: "Upgrade PostgreSQL.",
  other: "See what the server's log says about it.",
}

/** What a connection that was not made is to the doctor. */
export const unreachable = ({ message, reason }: DatabaseUnreachable): Seen =>
  error(message, advice[reason])

const isLoopback = (host: string) =>
  host === "localhost" || host === "::1" || isIP(host) === 4 && host.startsWith("127.")

/** Whether the client has checked the server's certificate. */
const isVerified = ({ ssl }: PgClient.PgClientConfig) =>
  ssl === true || typeof ssl === "object" && ssl.rejectUnauthorized !== false

/** Whether what goes over the network is hidden from it. */
export const tls = (
  { host = "localhost", pooler }: ConnectionParameters,
): Check<PgClient.PgClient> => ({
  group: "connection",
  name: "tls",
  look: Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    if (host.startsWith("/")) return ok("The connection is a Unix socket, on this machine.")
    const [found] = yield* sql<{ readonly ssl: boolean; readonly version: string | null }>`
      SELECT ssl, version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()`
    const encrypted = sql.config.ssl !== undefined && sql.config.ssl !== false
    // Of a pooler's connection the server knows only how the pooler reaches it.
    const version = pooler ? "TLS" : found?.version ?? "TLS"
    if (encrypted) {
      return isVerified(sql.config)
        ? ok(`The connection uses ${version}, and the server's certificate was checked.`)
        : warning(
          `The connection uses ${version}, but nobody has checked whose certificate it is.`,
          "Set sslmode=verify-full, with DATABASE_CA_FILE where the authority is your own.",
        )
    }
    return isLoopback(host) ? ok("The connection has no TLS, and stays on this machine.") : warning(
      "The connection has no TLS: password hashes go over the network as they are.",
      "Turn TLS on at the server, and set sslmode=verify-full.",
    )
  }),
})

/** Milliseconds that clocks may be apart before somebody should know. */
const tolerated = 1_000
/** Milliseconds from which times in logs and `expiresAt` of callers mislead. */
const intolerable = 60_000

/** How far the clock of the database is from this machine's, in milliseconds give or take. */
export const judgeSkew = (skew: number, uncertainty: number): Seen => {
  const least = Math.abs(skew) - uncertainty
  const seconds = (Math.abs(skew) / 1000).toFixed(1)
  const seen = `The database's clock is ${seconds} s ${skew < 0 ? "behind" : "ahead of"} this ` +
    "machine's; tokens expire by the database's."
  const todo = "Have both synchronised by NTP."
  if (least > intolerable) return error(seen, todo)
  return least > tolerated
    ? warning(seen, todo)
    : ok("The clocks of the database and of this machine agree.")
}

/** Whether the clocks agree. */
export const clock: Check<SqlClient.SqlClient> = {
  group: "connection",
  name: "clock",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // The first statement of its kind is prepared; the second one is as fast as it can be.
    const ask = sql<{ readonly now: number }>`
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now`
    yield* ask
    const before = yield* Clock.currentTimeMillis
    const [found] = yield* ask
    const after = yield* Clock.currentTimeMillis
    const now = found?.now ?? Number.NaN
    return judgeSkew(now - (before + after) / 2, (after - before) / 2)
  }),
}
