/**
 * The server, and what it does by default for the role of the service.
 */
import type { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type SettingsShape } from "../config/Settings.ts"
import type { ConnectionParameters } from "../database/ConnectionParameters.ts"
import { ConnectionSource } from "../database/Database.ts"
import * as SessionSettings from "../database/SessionSettings.ts"
import { countThreads } from "../threads/share.ts"
import type { Check } from "./Check.ts"
import { error, ok, type Seen, warning } from "./Finding.ts"

type Database = SqlClient.SqlClient | PgClient.PgClient | ConnectionSource

/** How old a server may be is decided when the connection is made. */
export const version: Check<Database> = {
  group: "server",
  name: "postgres-version",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [found] = yield* sql<{ readonly version: string }>`
      SELECT current_setting('server_version') AS version`
    return ok(
      `PostgreSQL ${found?.version}; https://www.postgresql.org/support/versioning/ has the newest ` +
        "minor release, and how long this one is supported.",
    )
  }),
}

/** What may lose commits that were acknowledged. */
export const durability: Check<Database> = {
  group: "server",
  name: "durability",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // What it is without the session's own setting.
    const rows = yield* sql<{ readonly name: string; readonly value: string }>`
      SELECT name, reset_val AS value
      FROM pg_catalog.pg_settings
      WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
      ORDER BY name`
    const settings = Object.fromEntries(rows.map(({ name, value }) => [name, value]))
    const found = SessionSettings.unsafeDurability({ settings })
    return found.length === 0
      ? ok("fsync, full_page_writes and synchronous_commit are on: a commit outlives a crash.")
      : found.map((sentence) =>
        warning(
          sentence,
          "Turn it on: in postgresql.conf, or by ALTER ROLE or ALTER DATABASE where it is set there.",
        )
      )
  }),
}

/** What the start says of the settings of a session, besides durability. */
export const sessionSettings: Check<Database> = {
  group: "server",
  name: "session-settings",
  look: Effect.gen(function* () {
    const { warnings } = yield* ConnectionSource
    const rest = warnings.filter((sentence) =>
      !/^(fsync|full_page_writes|synchronous_commit) is off/.test(sentence)
    )
    return rest.length === 0
      ? ok(
        "Sessions are as they must be: UTF8, read committed, search_path public, UTC, timeouts as " +
          "configured.",
      )
      : rest.map((sentence) => warning(sentence, "Do as the sentence says."))
  }),
}

/** Defaults that the service's sessions override, and that mislead who looks with psql. */
const telling = new Set([
  ...Object.keys(SessionSettings.pinnedSettings),
  "session_replication_role",
  "default_transaction_read_only",
])

const comparable = (value: string | undefined) => value?.replaceAll(/[\s"']/g, "").toLowerCase()

const wanted: Readonly<Record<string, string>> = {
  ...SessionSettings.pinnedSettings,
  session_replication_role: "origin",
  default_transaction_read_only: "off",
}

/** What the role or the database sets by default, against what statements rest on. */
export const defaults = ({ pooler }: ConnectionParameters): Check<Database> => ({
  group: "server",
  name: "default-settings",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly place: string; readonly setting: string }>`
      SELECT
        CASE WHEN setrole = 0 THEN 'The database'
          WHEN setdatabase = 0 THEN 'The role'
          ELSE 'The role, in this database,' END AS place,
        setting
      FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting
      WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
      ORDER BY setting, place`
    const found = rows.flatMap(({ place, setting }) => {
      const end = setting.indexOf("=")
      const [name, value] = [setting.slice(0, end), setting.slice(end + 1)]
      if (!telling.has(name) || comparable(value) === comparable(wanted[name])) return []
      return warning(
        `${place} sets ${name} to "${value}" by default. ` +
          (pooler
            ? "Behind the pooler nothing overrides that."
            : "The service's sessions override it; those of psql and other programs do not."),
        "Reset it, unless another program needs it so.",
      )
    })
    return found.length === 0
      ? ok("Neither role nor database sets by default what the service needs otherwise.")
      : found
  }),
})

interface Capacity {
  readonly greatest: number
  readonly reserved: number
  readonly ofRole: number
  readonly ofDatabase: number
  readonly isSuperuser: boolean
}

/** Connections that a service of these settings opens at most: for requests, and three per thread. */
export const connectionsNeeded = (settings: SettingsShape): number =>
  settings.databasePoolSize + 3 * countThreads(settings, Deno.build.os)

/** Whether so many connections fit beside what the server keeps for others. */
export const judgeCapacity = (needed: number, capacity: Capacity): Seen => {
  const { greatest, isSuperuser, ofDatabase, ofRole, reserved } = capacity
  const limits = [ofRole, ofDatabase].filter((limit) => limit >= 0)
  const available = isSuperuser ? greatest : Math.min(greatest - reserved, ...limits)
  const seen = `The service opens up to ${needed} connections (DATABASE_POOL_SIZE, and three per ` +
    `thread), and the server lets this role have ${available}.`
  const todo =
    "Lower DATABASE_POOL_SIZE or THREADS, raise max_connections or the limit of the role or the " +
    "database, or put a pooler between."
  if (needed > available) return error(seen, todo)
  return 2 * needed > available
    ? warning(`${seen} While a deployment replaces it, two run.`, todo)
    : ok(seen)
}

/** Whether the pool fits into what the server allows. */
export const capacity = (
  settings: SettingsShape,
  { pooler }: ConnectionParameters,
): Check<Database> => ({
  group: "server",
  name: "connections",
  look: Effect.gen(function* () {
    if (pooler) return ok("A pooler shares out the server's connections; see its own limits.")
    const sql = yield* SqlClient.SqlClient
    const [found] = yield* sql<Capacity>`
      SELECT
        current_setting('max_connections')::int AS greatest,
        current_setting('superuser_reserved_connections')::int
          + COALESCE(current_setting('reserved_connections', true)::int, 0) AS reserved,
        rolconnlimit AS "ofRole",
        (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS "ofDatabase",
        rolsuper AS "isSuperuser"
      FROM pg_catalog.pg_roles
      WHERE rolname = session_user`
    return judgeCapacity(
      connectionsNeeded(settings),
      yield* Effect.fromNullishOr(found),
    )
  }),
})

interface Ages {
  readonly transactions: number
  readonly multixacts: number
}

/**
 * How old the oldest transaction is that the server still has to know. At two billion it takes no more
 * writes.
 *
 * @see https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
 */
export const judgeAge = ({ transactions, multixacts }: Ages): Seen => {
  const millions = Math.round(Math.max(transactions, multixacts) / 1_000_000)
  const seen =
    `The oldest transaction that the database must know is ${millions} million old; at ` +
    "2,000 it takes no more writes."
  const todo =
    "Find what holds back vacuum (old transactions, prepared transactions, replication " +
    "slots), then run VACUUM in this database."
  // By default autovacuum freezes at 200 and, for multixacts, at 400 million.
  if (millions >= 1_200) return error(seen, todo)
  return millions >= 600 ? warning(seen, todo) : ok(seen)
}

/** How far the server is from running out of transaction ids. */
export const wraparound: Check<Database> = {
  group: "server",
  name: "wraparound",
  look: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [found] = yield* sql<Ages>`
      SELECT
        age(datfrozenxid)::float8 AS transactions,
        mxid_age(datminmxid)::float8 AS multixacts
      FROM pg_catalog.pg_database
      WHERE datname = current_database()`
    return judgeAge(yield* Effect.fromNullishOr(found))
  }),
}
