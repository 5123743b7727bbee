/**
 * A pool of connections to replicas, of which each is lent only where its server is far enough.
 *
 * How far a server is has to be known before the snapshot of the statement that reads is taken: one that
 * asks for itself could be told of a commit that its snapshot does not have. So it is a statement of its
 * own, before it, on the same connection. What a server has replayed once it has replayed for good; so
 * it is asked again only for what is beyond that.
 */
import type { PgClient } from "@effect/sql-pg"
import { Context, Data, Duration, Effect, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlError } from "effect/sql"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { ConnectionParameters } from "../ConnectionParameters.ts"
import * as ConnectionPool from "../ConnectionPool.ts"
import { interpretErrors, isWrongConnection } from "../Constraints.ts"
import * as Unreachable from "../DatabaseUnreachable.ts"
import type { Incidents } from "../Incidents.ts"
import { changeOf } from "../servers/changeOf.ts"
import * as Servers from "../servers/Servers.ts"
import type { Timeouts } from "../SessionSettings.ts"
import type { WatchedConnection } from "../WatchedConnection.ts"
import * as Position from "./Position.ts"

/** The code of `DatabaseUnavailable` where a replica is not far enough for what is asked of it. */
export const behind = "replica-behind"

class ReplicaBehind extends Data.Error<{ readonly message: string }> {
  readonly code = behind
}

/** As where no connection is to be had, so that the statement is not repeated. */
const isBehind = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({
    cause: new ReplicaBehind({ message: "it is too far behind the primary" }),
    operation: "connect",
  }),
})

export interface ReplicaOptions extends Timeouts {
  readonly connection: ConnectionParameters
  readonly maxConnections: number
}

export interface Replica {
  readonly client: PgClient.PgClient
  /** Runs what reads by the client, all of it on one connection whose server has reached a position. */
  readonly at: (
    wanted: Position.Position,
  ) => <A, E, R>(
    read: Effect.Effect<A, E, R>,
  ) => Effect.Effect<A, E | DatabaseUnavailable, Exclude<R, Scope.Scope>>
  /** From now on no connection is lent whose server is not as far as this. */
  readonly require: (horizon: Position.Position) => void
  /** Has connections be made as these parameters say from now on. */
  readonly takeUp: (connection: ConnectionParameters) => void
  /** Why no statement succeeds, in a sentence without the password. */
  readonly explain: (error: SqlError.SqlError) => string
}

/** What the statements of a fiber that get a connection now have to find there. */
const Wanted = Context.Reference<Position.Position | undefined>(
  "latchkey/database/replica/Wanted",
  { defaultValue: () => undefined },
)

/** Nothing of a replica is an outage of the database: the primary is asked instead. */
const makeIncidents = (): Incidents => ({
  generations: { current: 0, onlyAt: undefined, replace: Effect.void },
  statementSucceeded: () => undefined,
  statementFailed: (error, leave, isAlone) =>
    isWrongConnection(error, isAlone) ? leave : Effect.void,
  statementNotSent: () => Effect.void,
  serverFailed: () => Effect.void,
})

/** Until the scope closes. Connects to nothing before the first statement. */
export const make = Effect.fnUntraced(function* (
  options: ReplicaOptions,
): Effect.fn.Return<Replica, never, Scope.Scope | Reactivity.Reactivity> {
  let { connection } = options
  let servers = Servers.make(connection, options)
  let horizon: Position.Position | undefined
  const incidents = makeIncidents()
  const known = new WeakMap<WatchedConnection, Position.Position>()

  const isFarEnough = (position: Position.Position, wanted: Position.Position | undefined) =>
    (wanted === undefined || Position.isAt(position, wanted)) &&
    (horizon === undefined || Position.isAsFar(position, horizon))

  const ask = (watched: WatchedConnection) =>
    Effect.map(
      Effect.catchTag(
        Position.fromRows(watched.execute(text, [], undefined)),
        "SchemaError",
        Effect.die,
      ),
      ({ position }) => {
        known.set(watched, position)
        return position
      },
    )

  const admit = (watched: WatchedConnection) =>
    Effect.withFiber<void, SqlError.SqlError>(({ context }) => {
      const wanted = Context.get(context, Wanted)
      if (wanted === undefined && horizon === undefined) return Effect.void
      const last = known.get(watched)
      if (last !== undefined && isFarEnough(last, wanted)) return Effect.void
      return Effect.flatMap(
        ask(watched),
        (position) => isFarEnough(position, wanted) ? Effect.void : Effect.fail(isBehind),
      )
    })

  const { host, port, path, ssl } = connection
  const client: PgClient.PgClient = yield* ConnectionPool.make({
    name: "replicas",
    servers: { open: (onFailure) => Effect.suspend(() => servers.open(onFailure)) },
    config: { ...Servers.configOf(connection, options), host, port, path, ssl },
    maxConnections: options.maxConnections,
    isOneServer: connection.others === undefined,
    maxAge: Duration.minutes(30),
    incidents,
    admit,
  })

  const [text] = Position.statement(client).compile()

  return {
    client,
    at: (wanted) => (read) =>
      Effect.scoped(Effect.flatMap(
        client.reserve.pipe(Effect.provideService(Wanted, wanted), interpretErrors()),
        // As if in a transaction, so that every statement goes there. None is begun: each statement has
        // a snapshot of its own, which is younger than the answer that the server is far enough.
        (reserved) => Effect.provideService(read, client.transactionService, [reserved, 0]),
      )),
    require: (position) => {
      horizon = position
    },
    takeUp: (parameters) => {
      const change = changeOf(connection, parameters)
      if (change === "none") return
      connection = parameters
      servers = Servers.make(connection, options)
      if (change === "more") incidents.generations.current++
    },
    explain: (error) =>
      error.reason.cause instanceof ReplicaBehind
        ? `The replica cannot be used: ${error.reason.cause.message}.`
        : Unreachable.fromSqlError(connection, error).message,
  }
})
