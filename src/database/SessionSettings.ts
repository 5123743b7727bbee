/**
 * What a session must be like for statements to mean what they say, whatever a role, a database or a
 * server sets by default: set when the connection is made, then read back.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-client.html
 */
import type { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Option, Schema } from "effect"
import type { SqlError } from "effect/sql"
import type { ConnectionParameters } from "./ConnectionParameters.ts"

/** What correctness rests on; the same for the service, migrations and comparisons of schemas. */
export const pinnedSettings: Readonly<Record<string, string>> = {
  // A statement must see what was committed while it waited for a lock; under any other level it sees
  // the rows as they were before, so that a revocation would miss tokens.
  default_transaction_isolation: "read committed",
  default_transaction_deferrable: "off",
  // Never the schema that is named like the role, nor temporary tables before those of `public`.
  search_path: "public, pg_temp",
  client_encoding: "UTF8",
  // Not what it seems to say: a statement whose rows a policy would filter fails then.
  row_security: "off",
  // How SQL is read and how values are written as text.
  standard_conforming_strings: "on",
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  bytea_output: "hex",
  extra_float_digits: "1",
}

/** What PgBouncer gives to each server connection that a client's transaction gets. */
const trackedByPoolers = ["client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"]

/** Bounds for every session; without one, the server's own setting holds. */
export interface Timeouts {
  readonly statementTimeout?: Duration.Duration
  readonly lockTimeout?: Duration.Duration
  readonly idleInTransactionTimeout?: Duration.Duration
}

/** In milliseconds, which is PostgreSQL's unit for them. */
const timeoutSettings = (timeouts: Timeouts): Record<string, string> => {
  const settings: Record<string, string> = {}
  const durations = {
    statement_timeout: timeouts.statementTimeout,
    lock_timeout: timeouts.lockTimeout,
    idle_in_transaction_session_timeout: timeouts.idleInTransactionTimeout,
  }
  for (const [name, duration] of Object.entries(durations)) {
    // 0 would mean that there is no bound.
    if (duration !== undefined) settings[name] = `${Math.ceil(Duration.toMillis(duration))}`
  }
  return settings
}

/** Of the planner: an operator who sets one explicitly for the connection is right about it. */
const plannerSettings: Readonly<Record<string, string>> = {
  // Planned once, not each time: an array of one key would otherwise never get a plan that is kept.
  plan_cache_mode: "force_generic_plan",
  // For a group of rows, PostgreSQL expects a hundred. By its default, which is meant for disks that
  // turn, it would rather read a whole table of ten thousand rows than look up so many of them.
  random_page_cost: "1.1",
}

/** The `-c name=value` and `--name=value` of startup options, names in lower case. */
const settingsIn = (options: string): ReadonlyMap<string, string> => {
  // A backslash keeps a blank from ending a word.
  const words = (options.match(/(?:\\.|[^\s\\])+/gs) ?? []).map((word) =>
    word.replace(/\\(.)/gs, "$1")
  )
  const settings = new Map<string, string>()
  for (const [index, word] of words.entries()) {
    const text = word === "-c" ? words[index + 1] : word.replace(/^(-c|--)(?=\w)/, "")
    const [, name, value] = /^([\w.-]+)=(.*)$/s.exec(text ?? "") ?? []
    if (name !== undefined && value !== undefined) {
      settings.set(name.toLowerCase().replaceAll("-", "_"), value)
    }
  }
  return settings
}

/** What the connection's own parameters and options set, names in lower case. */
const explicitSettings = (
  { startupParameters = {}, startupOptions = "" }: ConnectionParameters,
): ReadonlyMap<string, string> =>
  new Map([
    ...settingsIn(startupOptions),
    ...Object.entries(startupParameters).map(([name, value]) =>
      [name.toLowerCase(), value] as const
    ),
  ])

/** The settings that a connection is made with; only those that a pooler tracks, behind one. */
export const startupParameters = (
  connection: ConnectionParameters,
  timeouts: Timeouts,
): Record<string, string> => {
  const entries = Object.entries(pinnedSettings)
  if (connection.pooler) {
    // PgBouncer refuses startup parameters that it does not track.
    return Object.fromEntries([
      ...entries.filter(([name]) => trackedByPoolers.includes(name)),
      ...Object.entries(connection.startupParameters ?? {}),
    ])
  }
  const explicit = explicitSettings(connection)
  return Object.fromEntries([
    ...Object.entries(plannerSettings).filter(([name]) => !explicit.has(name)),
    ...Object.entries(timeoutSettings(timeouts)),
    ...Object.entries(connection.startupParameters ?? {}),
    ...entries,
  ])
}

export interface Disagreement {
  readonly setting: string
  readonly value: string
  readonly wanted: string
}

const isSame = (one: string, other: string) =>
  one.replaceAll(/[\s'"_-]/g, "").toLowerCase() === other.replaceAll(/[\s'"_-]/g, "").toLowerCase()

/** What a connection is told to set, and must not be: it would be overridden without a word. */
export const contradictions = (connection: ConnectionParameters): ReadonlyArray<Disagreement> => {
  const explicit = explicitSettings(connection)
  return Object.entries(pinnedSettings).flatMap(([setting, wanted]) => {
    const value = explicit.get(setting.toLowerCase())
    return value === undefined || isSame(value, wanted) ? [] : [{ setting, value, wanted }]
  })
}

/** The timeouts that startup options set in vain, since `timeouts` are set as well. */
export const overriddenTimeouts = (
  { startupOptions = "" }: ConnectionParameters,
  timeouts: Timeouts,
): ReadonlyArray<string> => {
  const given = settingsIn(startupOptions)
  return Object.keys(timeoutSettings(timeouts)).filter((name) => given.has(name))
}

/** A session as the server describes it. */
export class SessionFacts extends Schema.Class<SessionFacts>("SessionFacts")({
  /** Of the process at the server, whichever pooler is between. */
  processId: Schema.Int,
  /** Told apart by this, since process ids of two servers may be the same. */
  serverStart: Schema.String,
  /** `server_version_num`. */
  versionNumber: Schema.Int,
  version: Schema.String,
  encoding: Schema.String,
  readOnly: Schema.Boolean,
  /** Whether the server is a standby. */
  inRecovery: Schema.Boolean,
  role: Schema.String,
  database: Schema.String,
  /** The search path as it is in effect, what is implied included. */
  schemas: Schema.Array(Schema.String),
  /** Whether the role may use the schema `public`; if not, it is not in `schemas` either. */
  usesPublic: Schema.Boolean,
  settings: Schema.Record(Schema.String, Schema.String),
}) {}

const readBack = [
  ...Object.keys(pinnedSettings),
  "session_replication_role",
  "synchronous_commit",
  "fsync",
  "full_page_writes",
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout",
]

/** The columns of {@link SessionFacts}. Every name has its schema: the path is not known to be good. */
export const factsColumns = `
  pg_catalog.pg_backend_pid() AS "processId",
  pg_catalog.pg_postmaster_start_time()::pg_catalog.text AS "serverStart",
  pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS "versionNumber",
  pg_catalog.current_setting('server_version') AS version,
  pg_catalog.current_setting('server_encoding') AS encoding,
  pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool AS "readOnly",
  pg_catalog.pg_is_in_recovery() AS "inRecovery",
  session_user::pg_catalog.text AS role,
  pg_catalog.current_database()::pg_catalog.text AS database,
  pg_catalog.current_schemas(true)::pg_catalog.text[] AS schemas,
  COALESCE(
    (
      SELECT pg_catalog.has_schema_privilege(oid, 'USAGE')
      FROM pg_catalog.pg_namespace
      WHERE nspname = 'public'
    ),
    false
  ) AS "usesPublic",
  (
    SELECT pg_catalog.json_object_agg(name, setting)
    FROM pg_catalog.pg_settings
    WHERE name IN (${readBack.map((name) => `'${name}'`).join(", ")})
  ) AS settings`

const decodeFacts = Schema.decodeUnknownEffect(Schema.Tuple([SessionFacts]))

/** Reads a session, with whatever runs a statement on it. */
export const readFacts = <R>(
  query: (statement: string) => Effect.Effect<unknown, SqlError.SqlError, R>,
): Effect.Effect<SessionFacts, SqlError.SqlError, R> =>
  Effect.map(
    Effect.flatMap(query(`SELECT ${factsColumns}`), (rows) => Effect.orDie(decodeFacts(rows))),
    ([facts]) => facts,
  )

const quoted = (identifier: string) => `"${identifier.replaceAll('"', '""')}"`

/** What sets a role's default in one database; `search_path` is a list, not a string. */
const alterRole = ({ role, database }: SessionFacts, setting: string, wanted: string) =>
  `ALTER ROLE ${quoted(role)} IN DATABASE ${quoted(database)} SET ${setting} = ` +
  (setting === "search_path" ? wanted : `'${wanted}'`)

const inQuotes = ({ setting, value, wanted }: Disagreement) =>
  `${setting} is "${value}" and not "${wanted}"`

/** Whether names without a schema are found in PostgreSQL's own, and then in `public`. */
const leadsToPublic = ({ schemas, usesPublic }: SessionFacts) => {
  const [first, second] = schemas.filter((schema) => !schema.startsWith("pg_temp_"))
  return !usesPublic || first === "pg_catalog" && second === "public"
}

/** A pooler keeps the settings of a session from the server; the role's own then have to be right. */
const isPooled = ({ prepare }: PgClient.PgClientConfig) => prepare === false

const disagreements = (
  facts: SessionFacts,
  config: PgClient.PgClientConfig,
): ReadonlyArray<Disagreement> => {
  const compare = (setting: string, wanted: string) => {
    const value = facts.settings[setting]
    return value === undefined || value === wanted ? [] : [{ setting, value, wanted }]
  }
  if (isPooled(config)) {
    const { search_path = "", default_transaction_isolation = "" } = pinnedSettings
    return [
      ...compare("default_transaction_isolation", default_transaction_isolation),
      ...leadsToPublic(facts) ? [] : compare("search_path", search_path),
      ...trackedByPoolers.flatMap((name) => compare(name, pinnedSettings[name] ?? "")),
      ...facts.settings["synchronous_commit"] === "off" ? compare("synchronous_commit", "on") : [],
      ...compare("session_replication_role", "origin"),
    ]
  }
  const timeouts = Object.entries(config.startupParameters ?? {}).filter(([name, value]) =>
    // Ours are in milliseconds; those of a caller of `Database.layer` may have any unit.
    name.endsWith("_timeout") && /^\d+$/.test(value)
  )
  return [
    ...[...Object.entries(pinnedSettings), ...timeouts].flatMap(([name, wanted]) =>
      compare(name, wanted)
    ),
    ...compare("session_replication_role", "origin"),
  ]
}

/** What is wrong with a session and how to mend it, in a sentence without its subject. */
export const diagnose = (
  facts: SessionFacts,
  config: PgClient.PgClientConfig,
): Option.Option<string> => {
  if (facts.encoding !== "UTF8") {
    return Option.some(
      `its encoding is ${facts.encoding}, which cannot hold every name; make a database ` +
        "with ENCODING 'UTF8' TEMPLATE template0 and move the rows there",
    )
  }
  const wrong = disagreements(facts, config)
  if (wrong.length === 0) return Option.none()
  const what = wrong.map(inQuotes).join(", ")
  const mend = wrong.map(({ setting, wanted }) => alterRole(facts, setting, wanted)).join("; ")
  if (isPooled(config)) {
    return Option.some(`${what} behind the pooler; run ${mend}; and have the pooler reconnect`)
  }
  const isAtRole = wrong.every(({ setting }) => setting === "session_replication_role")
  return Option.some(
    isAtRole
      ? `${what}, so that triggers and foreign keys do nothing; run ${mend} as a superuser`
      : `${what}, although it was set when the connection was made: a pooler is between, for which ` +
        "pgbouncer=true belongs into the URL, or a login trigger of the server changes it",
  )
}

/** What does not hold behind a pooler, and what makes it hold; nothing, if all does. */
export const looseSettings = (facts: SessionFacts, timeouts: Timeouts): ReadonlyArray<string> => {
  const wanted = timeoutSettings(timeouts)
  const loose = Object.keys(wanted).filter((name) => {
    const value = Number(facts.settings[name])
    return value === 0 || value > Number(wanted[name])
  })
  const mend = (names: ReadonlyArray<string>) =>
    `Run ${
      names.map((name) => alterRole(facts, name, wanted[name] ?? pinnedSettings[name] ?? ""))
        .join("; ")
    }; and have the pooler reconnect.`
  return [
    ...loose.length === 0 ? [] : [
      `Behind the pooler ${loose.join(", ")} cannot be set by this service, and the server does ` +
      "not keep to what is configured: a statement may go on after its caller was answered. " +
      mend(loose),
    ],
    ...facts.settings["row_security"] === "off" ? [] : [
      "Behind the pooler row_security cannot be set by this service: if row security comes to hide " +
      `rows, answers are wrong until /readyz has found out. ${mend(["row_security"])}`,
    ],
  ]
}

/** Says what may lose commits that were acknowledged; nothing, if nothing does. */
export const unsafeDurability = (
  { settings }: Pick<SessionFacts, "settings">,
): ReadonlyArray<string> => [
  ...settings["synchronous_commit"] === "off"
    ? [
      "synchronous_commit is off by default for the service's role, its database or the server; " +
      "its own sessions turn it on.",
    ]
    : [],
  ...["fsync", "full_page_writes"].filter((name) => settings[name] === "off").map((name) =>
    `${name} is off at the database server: a crash may lose or spoil what was committed.`
  ),
]

/**
 * Makes a new session what startup parameters could not make it: a commit that is acknowledged must not
 * be lost in a crash. Never set otherwise: an operator may have chosen to wait for standbys, or not to.
 * `query` runs a statement on it.
 */
export const makeDurable = <R>(
  { settings }: SessionFacts,
  config: PgClient.PgClientConfig,
  query: (statement: string) => Effect.Effect<unknown, SqlError.SqlError, R>,
) =>
  !isPooled(config) && settings["synchronous_commit"] === "off"
    ? query("SELECT pg_catalog.set_config('synchronous_commit', 'on', false)")
    : Effect.void
