/**
 * Pools of connections to PostgreSQL, as `PgClient` and `SqlClient`.
 *
 * Every session has the same settings, whatever the server's defaults: what statements rest on, and
 * bounds on how long a statement, a lock and an idle transaction may take, so that no client can hold
 * the pool for long. They are read back when a connection is made.
 */
import { PgClient, PgConnection } from "@effect/sql-pg"
import { Context, Duration, Effect, Layer, Option, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import * as Bulkhead from "./Bulkhead.ts"
import type { ConnectionParameters } from "./ConnectionParameters.ts"
import * as ConnectionPool from "./ConnectionPool.ts"
import { codeOf } from "./Constraints.ts"
import * as Unreachable from "./DatabaseUnreachable.ts"
import * as ResponseTimeoutSocket from "./ResponseTimeoutSocket.ts"
import * as SessionSettings from "./SessionSettings.ts"

export interface DatabaseOptions extends SessionSettings.Timeouts {
  readonly connection: ConnectionParameters
  /** How many connections at most. Default 10. */
  readonly maxConnections?: number
  /** The greatest age of a connection, give or take a tenth. Default 30 minutes. */
  readonly maxAge?: Duration.Duration
}

const poolSize = 10

/** `server_version_num` of the oldest server that is supported: PostgreSQL 15. */
const oldestVersion = 150_000

const clientConfig = (options: DatabaseOptions): PgClient.PgPoolConfig => {
  const { pooler, sslFallback: _, writable: __, ...connection } = options.connection
  return {
    applicationName: "latchkey",
    ...connection,
    startupParameters: SessionSettings.startupParameters(options.connection, options),
    prepare: !pooler,
  }
}

const queryOn =
  (connection: PgConnection.PgConnection) =>
  (statement: string): Effect.Effect<unknown, SqlError.SqlError> =>
    Effect.map(connection.query(statement, [], false), ({ rows }) => rows)

/**
 * Whether a pooler is between that gives a connection another process of the server for each
 * transaction: two connections share one then, or one is moved.
 */
const isShared = Effect.fnUntraced(function* (
  config: PgClient.PgPoolConfig,
  connection: PgConnection.PgConnection,
  facts: SessionSettings.SessionFacts,
) {
  // A pooler gives its clients no process ids of the server.
  if (connection.processId === facts.processId) return false
  const isSame = (other: SessionSettings.SessionFacts) =>
    other.processId === facts.processId && other.serverStart === facts.serverStart
  const other = yield* SessionSettings.readFacts(queryOn(yield* PgConnection.make(config)))
  return isSame(other) || !isSame(yield* SessionSettings.readFacts(queryOn(connection)))
})

const inspect = Effect.fnUntraced(function* (config: PgClient.PgPoolConfig) {
  const connection = yield* PgConnection.make(config)
  const facts = yield* SessionSettings.readFacts(queryOn(connection))
  return {
    config,
    facts,
    isShared: config.prepare !== false && (yield* isShared(config, connection, facts)),
  }
}, Effect.scoped)

/** Whether the other encryption may be what the server wants; a wrong password stays wrong. */
const mayFallBack = (error: SqlError.SqlError): boolean =>
  Unreachable.isTlsRefused(error) || codeOf(error) === "28000"

/** What an operator should know of a database that can be used, in sentences. */
const warningsOf = (options: DatabaseOptions, facts: SessionSettings.SessionFacts) => [
  ...SessionSettings.overriddenTimeouts(options.connection, options).map((name) =>
    `The connection's options set ${name}, which has no effect: ${name.toUpperCase()} sets it.`
  ),
  ...options.connection.pooler ? SessionSettings.looseSettings(facts, options) : [],
  ...SessionSettings.unsafeDurability(facts),
]

interface Connected {
  readonly working: PgClient.PgPoolConfig
  readonly warnings: ReadonlyArray<string>
}

/**
 * Makes one connection, so that what is wrong with the settings or the server is found at the start,
 * and gives the settings that worked: with `sslFallback` those of the second try, for good.
 */
const connect = Effect.fn("Database.connect")(
  function* (
    options: DatabaseOptions,
  ): Effect.fn.Return<Connected, Unreachable.DatabaseUnreachable> {
    const { connection } = options
    const [contradiction] = SessionSettings.contradictions(connection)
    if (contradiction !== undefined) {
      return yield* Unreachable.contradicted(connection, contradiction)
    }
    const config = clientConfig(options)
    const { config: working, facts, isShared } = yield* Effect.catchIf(
      inspect(config),
      (error) => connection.sslFallback !== undefined && mayFallBack(error),
      () => inspect({ ...config, ssl: connection.sslFallback }),
    ).pipe(Effect.mapError((error) => Unreachable.fromSqlError(connection, error)))
    if (facts.versionNumber < oldestVersion) {
      return yield* Unreachable.tooOld(connection, facts.version)
    }
    if (isShared) return yield* Unreachable.pooled(connection)
    const problem = SessionSettings.diagnose(facts, working)
    if (Option.isSome(problem)) return yield* Unreachable.unfit(connection, problem.value)
    if (connection.writable && facts.readOnly) return yield* Unreachable.standby(connection)
    return { working, warnings: warningsOf(options, facts) }
  },
)

/** Without a bound on statements, there is none on the server's silence. */
const patientStream = (
  { connection, statementTimeout }: DatabaseOptions,
  { ssl }: PgClient.PgPoolConfig,
): PgClient.PgPoolConfig["stream"] =>
  statementTimeout && (() => ResponseTimeoutSocket.open({ ...connection, ssl }, statementTimeout))

/** A bound on statements is one on waits for locks. */
const bulkheadOf = (
  {
    maxConnections,
    lockTimeout = Duration.infinity,
    statementTimeout = Duration.infinity,
  }: DatabaseOptions,
) => Bulkhead.make(maxConnections ?? poolSize, Duration.min(lockTimeout, statementTimeout))

/** Where pools of connections to one database come from. */
export class ConnectionSource extends Context.Service<ConnectionSource, {
  /** A client on a pool of at most so many connections, opened when they are needed. */
  readonly makeClient: (
    maxConnections: number,
  ) => Effect.Effect<PgClient.PgClient, SqlError.SqlError, Scope.Scope | Reactivity.Reactivity>
  /**
   * Has the connections of all its pools replaced when they are wanted next, at most every five
   * seconds: the name of a server that does not write any more may lead to another one by now.
   */
  readonly replaceConnections: Effect.Effect<void>
  /** What an operator should know of the database, though it can be used, in sentences. */
  readonly warnings: ReadonlyArray<string>
}>()("latchkey/database/ConnectionSource") {}

/**
 * `PgClient` and `SqlClient` on a pool. Fails at the start where the server cannot be used; once it
 * has been, an outage is an error of the statements that run into it, and the pool reconnects.
 */
export const layer = (
  options: DatabaseOptions,
): Layer.Layer<
  PgClient.PgClient | SqlClient.SqlClient | ConnectionSource,
  Unreachable.DatabaseUnreachable
> =>
  Layer.effectContext(Effect.gen(function* () {
    const { working, warnings } = yield* connect(options)
    const config = { ...working, stream: patientStream(options, working) }
    const generations = ConnectionPool.makeGenerations()
    const makeClient = (maxConnections: number) =>
      ConnectionPool.make({
        config: { ...config, maxConnections },
        verify: (connection) => SessionSettings.verify(config, queryOn(connection)),
        maxAge: options.maxAge ?? Duration.minutes(30),
        generations,
      })
    const client = yield* Effect.mapError(
      makeClient(options.maxConnections ?? poolSize),
      (error) => Unreachable.fromSqlError(options.connection, error),
    )
    return Context.make(PgClient.PgClient, client).pipe(
      Context.add(SqlClient.SqlClient, client),
      Context.add(Bulkhead.Bulkhead, bulkheadOf(options)),
      Context.add(ConnectionSource, {
        makeClient,
        replaceConnections: generations.replace,
        warnings,
      }),
    )
  })).pipe(Layer.provide(Reactivity.layer))

/**
 * Another pool, to the same server and with the same settings, for work that must not use up the
 * connections of the first. They are opened when they are needed and closed after a minute without use.
 */
export const layerSecondPool = (
  maxConnections: number,
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, never, ConnectionSource> =>
  PgClient.layerFrom(
    // What fails to connect later is an error of its statement.
    ConnectionSource.use(({ makeClient }) => Effect.orDie(makeClient(maxConnections))),
  )
