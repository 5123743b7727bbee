/**
 * Pools of connections to PostgreSQL, as `PgClient` and `SqlClient`.
 *
 * Every session has the same settings, whatever the server's defaults: what statements rest on, and
 * bounds on how long a statement, a lock and an idle transaction may take, so that no client can hold
 * the pool for long. They are read back when a connection is made.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import * as Bulkhead from "./Bulkhead.ts"
import type { ConnectionParameters } from "./ConnectionParameters.ts"
import * as ConnectionPool from "./ConnectionPool.ts"
import * as Unreachable from "./DatabaseUnreachable.ts"
import * as Incidents from "./Incidents.ts"
import { type Change, changeOf } from "./servers/changeOf.ts"
import * as Servers from "./servers/Servers.ts"
import * as SessionSettings from "./SessionSettings.ts"

export interface DatabaseOptions extends SessionSettings.Timeouts {
  readonly connection: ConnectionParameters
  /** How many connections at most. Default 10. */
  readonly maxConnections?: number
  /** The greatest age of a connection, give or take a tenth. Default 30 minutes. */
  readonly maxAge?: Duration.Duration
}

const poolSize = 10

/** What an operator should know of a database that can be used, in sentences. */
const warningsOf = (options: DatabaseOptions, facts: SessionSettings.SessionFacts) => [
  ...SessionSettings.overriddenTimeouts(options.connection, options).map((name) =>
    `The connection's options set ${name}, which has no effect: ${name.toUpperCase()} sets it.`
  ),
  ...options.connection.pooler ? SessionSettings.looseSettings(facts, options) : [],
  ...SessionSettings.unsafeDurability(facts),
]

/** Says of a bad setting which one it is; nothing is connected to. */
const rejectContradictions = ({ connection }: DatabaseOptions) => {
  const [contradiction] = SessionSettings.contradictions(connection)
  return contradiction === undefined
    ? Effect.void
    : Effect.fail(Unreachable.contradicted(connection, contradiction))
}

/** A bound on statements is one on waits for locks. */
const bulkheadOf = (
  {
    maxConnections,
    lockTimeout = Duration.infinity,
    statementTimeout = Duration.infinity,
  }: DatabaseOptions,
) => Bulkhead.make(maxConnections ?? poolSize, Duration.min(lockTimeout, statementTimeout))

/** What the connections of a pool are for, as metrics call it. */
export type PoolName = "requests" | "clean-ups" | "readiness" | "replicas"

/** Where pools of connections to one database come from. */
export class ConnectionSource extends Context.Service<ConnectionSource, {
  /** A client on a pool of at most so many connections, opened when they are needed. */
  readonly makeClient: (
    name: PoolName,
    maxConnections: number,
  ) => Effect.Effect<PgClient.PgClient, never, Scope.Scope | Reactivity.Reactivity>
  /**
   * Has the connections of all its pools replaced when they are wanted next, at most every five
   * seconds: the name of a server that does not write any more may lead to another one by now, and of
   * several servers another one may write.
   */
  readonly replaceConnections: Effect.Effect<void>
  /**
   * Has new connections sign in and encrypt as these parameters say, where nothing else of them has
   * changed, and tells what has. Connections that are open stay: PostgreSQL asks for a password once.
   */
  readonly takeUp: (connection: ConnectionParameters) => Effect.Effect<Change>
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
    yield* rejectContradictions(options)
    const { connection } = options
    let current = { connection, servers: Servers.make(connection, options) }
    const open: Servers.Servers["open"] = (onFailure) =>
      Effect.suspend(() => current.servers.open(onFailure))
    const takeUp = (connection: ConnectionParameters) =>
      Effect.sync(() => {
        const change = changeOf(current.connection, connection)
        if (change === "credentials") {
          current = { connection, servers: Servers.make(connection, options) }
        }
        return change
      })
    const orUnreachable = Effect.mapError((error: SqlError.SqlError) =>
      Unreachable.fromSqlError(connection, error)
    )
    // So that what is wrong with the settings or the server is found at the start.
    const { facts, config } = yield* open(() => Effect.void).pipe(
      Effect.scoped,
      orUnreachable,
      Effect.withSpan("Database.connect"),
    )
    const incidents = yield* Incidents.make
    const makeClient = (name: PoolName, maxConnections: number) =>
      ConnectionPool.make({
        name,
        servers: { open },
        config,
        maxConnections,
        isOneServer: connection.others === undefined,
        maxAge: options.maxAge ?? Duration.minutes(30),
        incidents,
      })
    const client = yield* makeClient("requests", options.maxConnections ?? poolSize)
    return Context.make(PgClient.PgClient, client).pipe(
      Context.add(SqlClient.SqlClient, client),
      Context.add(Bulkhead.Bulkhead, bulkheadOf(options)),
      Context.add(ConnectionSource, {
        makeClient,
        takeUp,
        replaceConnections: incidents.generations.replace,
        warnings: warningsOf(options, facts),
      }),
    )
  })).pipe(Layer.provide(Reactivity.layer))

/**
 * Another pool, to the same server and with the same settings, for work that must not use up the
 * connections of the first. They are opened when they are needed and closed after a minute without use.
 */
export const layerSecondPool = (
  name: Exclude<PoolName, "requests" | "replicas">,
  maxConnections: number,
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, never, ConnectionSource> =>
  PgClient.layerFrom(ConnectionSource.use(({ makeClient }) => makeClient(name, maxConnections)))
