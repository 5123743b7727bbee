/**
 * The pool of connections to PostgreSQL, as `PgClient` and `SqlClient`.
 *
 * Every session has the same settings, whatever the server's defaults: UTC, and bounds on how long a
 * statement, a lock and an idle transaction may take, so that no client can hold the pool for long.
 */
import { PgClient, PgConnection } from "@effect/sql-pg"
import { Data, Duration, Effect, type Layer, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import type { ConnectionParameters } from "./ConnectionParameters.ts"
import { codeOf, interpretErrors } from "./Constraints.ts"
import * as Unreachable from "./DatabaseUnreachable.ts"
import * as PatientSocket from "./PatientSocket.ts"

export interface DatabaseOptions {
  readonly connection: ConnectionParameters
  /** How many connections at most. Default 10. */
  readonly maxConnections?: number
  /** Bounds for every session; without one, the server's own setting holds. */
  readonly statementTimeout?: Duration.Duration
  readonly lockTimeout?: Duration.Duration
  readonly idleInTransactionTimeout?: Duration.Duration
}

/** `server_version_num` of the oldest server that is supported: PostgreSQL 15. */
const oldestVersion = 150_000

const Server = Schema.Tuple([
  Schema.Struct({
    versionNumber: Schema.Int,
    version: Schema.String,
    readOnly: Schema.Boolean,
  }),
])

const sessionSettings = (options: DatabaseOptions): Record<string, string> => {
  const settings: Record<string, string> = { TimeZone: "UTC" }
  // PgBouncer refuses startup parameters that it does not track, and it tracks none of these.
  if (options.connection.pooler) return settings
  // Planned once, not each time: an array of one key would otherwise never get a plan that is kept.
  settings["plan_cache_mode"] = "force_generic_plan"
  // For a group of rows, PostgreSQL expects a hundred. By its default, which is meant for disks that
  // turn, it would rather read a whole table of ten thousand rows than look up so many of them.
  settings["random_page_cost"] = "1.1"
  const timeouts = {
    statement_timeout: options.statementTimeout,
    lock_timeout: options.lockTimeout,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeout,
  }
  for (const [name, timeout] of Object.entries(timeouts)) {
    // 0 would mean that there is no bound.
    if (timeout !== undefined) settings[name] = `${Math.ceil(Duration.toMillis(timeout))}`
  }
  return settings
}

const clientConfig = (options: DatabaseOptions): PgClient.PgPoolConfig => {
  const { pooler, sslFallback: _, writable: __, ...connection } = options.connection
  return {
    applicationName: "latchkey",
    ...connection,
    startupParameters: { ...sessionSettings(options), ...connection.startupParameters },
    maxConnections: options.maxConnections ?? 10,
    prepare: !pooler,
  }
}

const inspect = Effect.fnUntraced(function* (config: PgConnection.Config) {
  const connection = yield* PgConnection.make(config)
  const { rows } = yield* connection.query(
    `SELECT
      current_setting('server_version_num')::int AS "versionNumber",
      current_setting('server_version') AS version,
      pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS "readOnly"`,
    [],
    false,
  )
  return rows
}, Effect.scoped)

/** Whether the other encryption may be what the server wants; a wrong password stays wrong. */
const mayFallBack = (error: SqlError.SqlError): boolean =>
  Unreachable.isTlsRefused(error) || codeOf(error) === "28000"

/**
 * Makes one connection, so that what is wrong with the settings or the server is found at the start,
 * and gives the settings that worked: with `sslFallback` those of the second try, for good.
 */
const connect = Effect.fn("Database.connect")(
  function* (
    options: DatabaseOptions,
  ): Effect.fn.Return<PgClient.PgPoolConfig, Unreachable.DatabaseUnreachable> {
    const { connection } = options
    const config = clientConfig(options)
    const first = Effect.map(inspect(config), (rows) => ({ config, rows }))
    const other = { ...config, ssl: connection.sslFallback }
    const { config: working, rows } = yield* Effect.catchIf(
      first,
      (error) => connection.sslFallback !== undefined && mayFallBack(error),
      () => Effect.map(inspect(other), (rows) => ({ config: other, rows })),
    ).pipe(Effect.mapError((error) => Unreachable.fromSqlError(connection, error)))
    const [server] = yield* Effect.orDie(Schema.decodeUnknownEffect(Server)(rows))
    if (server.versionNumber < oldestVersion) {
      return yield* Unreachable.tooOld(connection, server.version)
    }
    if (connection.writable && server.readOnly) return yield* Unreachable.standby(connection)
    return working
  },
)

/** The server answers, but is a standby, or somebody made it read-only. */
export class DatabaseReadOnly extends Data.TaggedError("DatabaseReadOnly") {
  override readonly message = "The database is read-only"
}

/** Fails when statements that write would. */
export const requireWritable = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const readOnly = yield* interpretErrors()(
    sql`SELECT WHERE current_setting('transaction_read_only')::boolean`,
  )
  if (readOnly.length > 0) return yield* new DatabaseReadOnly()
}).pipe(Effect.withSpan("Database.requireWritable"))

/** Without a bound on statements, there is none on the server's silence. */
const patientStream = (
  { connection, statementTimeout }: DatabaseOptions,
  { ssl }: PgClient.PgPoolConfig,
): PgClient.PgPoolConfig["stream"] =>
  statementTimeout && (() => PatientSocket.open({ ...connection, ssl }, statementTimeout))

/**
 * `PgClient` and `SqlClient` on a pool. Fails at the start where the server cannot be used; once it
 * has been, an outage is an error of the statements that run into it, and the pool reconnects.
 */
export const layer = (
  options: DatabaseOptions,
): Layer.Layer<
  PgClient.PgClient | SqlClient.SqlClient,
  Unreachable.DatabaseUnreachable
> =>
  PgClient.layerFrom(Effect.flatMap(connect(options), (config) =>
    Effect.mapError(
      PgClient.make({ ...config, stream: patientStream(options, config) }),
      (error) => Unreachable.fromSqlError(options.connection, error),
    )))

/**
 * Another pool, to the same server and with the same settings, for work that must not use up the
 * connections of the first. They are opened when they are needed and closed after a minute without use.
 */
export const layerBeside = (
  maxConnections: number,
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, never, PgClient.PgClient> =>
  PgClient.layerFrom(
    PgClient.PgClient.use(({ config }) =>
      // What fails to connect later is an error of its statement.
      Effect.orDie(PgClient.make({ ...config, maxConnections }))
    ),
  )
