/**
 * `PgClient` on a pool whose connections are verified when they are made, and leave it for good when
 * an error says that they lead to the wrong place, when they are old, or when all of them must.
 *
 * Built of Effect's pool and the driver's connections: its `PgClient.make` and `PgPool.make` connect to
 * one server, and have no hook for a new connection.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Duration, Effect, Exit, Option, Pool, Predicate, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import type { Incidents } from "./Incidents.ts"
import { makePoolMetrics, type PoolMetrics, type PoolState } from "./metrics.ts"
import type { Link } from "./servers/Link.ts"
import type { Servers } from "./servers/Servers.ts"
import { WatchedConnection } from "./WatchedConnection.ts"

export interface ConnectionPoolOptions {
  /** As metrics call it. */
  readonly name: string
  readonly servers: Servers
  /** Of the first connection that was made, for whoever makes one like it. */
  readonly config: PgClient.PgClientConfig
  readonly maxConnections: number
  /** Whether all connections lead to one server, which spans then name. */
  readonly isOneServer: boolean
  /** The greatest age of a connection, give or take a tenth. */
  readonly maxAge: Duration.Duration
  readonly incidents: Incidents
  /** Asked of a connection each time that it is lent, before what it is wanted for. */
  readonly admit?: (connection: WatchedConnection) => Effect.Effect<void, SqlError.SqlError>
}

/** PostgreSQL commits no transaction in which a statement has failed, and says so only here. */
const commit = Effect.fnUntraced(function* (connection: SqlConnection.Connection) {
  const result = yield* connection.executeRaw("COMMIT", [])
  if (Predicate.hasProperty(result, "command") && result.command === "ROLLBACK") {
    return yield* new SqlError.SqlError({
      reason: new SqlError.UnknownError({
        cause: new Error("COMMIT of a transaction that had failed"),
        operation: "commit",
      }),
    })
  }
})

const pgJson = Statement.custom<PgClient.PgCustom>("PgJson")

/** A connection that was verified. */
interface Session {
  readonly watched: WatchedConnection
  readonly link: Link
  readonly generation: number
  readonly onlyAt: string | undefined
  /** By the clock of the process, in milliseconds. */
  readonly expiresAt: number
}

/** How long a connection is kept without use. */
const idleTime = Duration.minutes(1)

/** Makes connections for a pool, which are out of it as soon as they are closed. */
const makeOpen = Effect.fnUntraced(function* (
  { servers, maxAge, incidents }: ConnectionPoolOptions,
  metrics: () => PoolMetrics,
  invalidate: (session: Session) => Effect.Effect<void>,
) {
  const { generations, statementSucceeded, statementFailed, serverFailed } = incidents
  const clock = yield* Clock.Clock
  const runFork = Effect.runForkWith(yield* Effect.context())
  const onFailure = (error: SqlError.SqlError) =>
    Effect.suspend(() => {
      metrics().failed(error)
      return serverFailed(error)
    })
  return Effect.gen(function* () {
    const { current: generation } = generations
    const { connection, link, onlyAt } = yield* servers.open(onFailure)
    generations.onlyAt = onlyAt
    metrics().opened()
    const leave = Effect.suspend(() => invalidate(session))
    const session: Session = {
      watched: new WatchedConnection(connection, {
        succeeded: statementSucceeded,
        failed: (error) => statementFailed(error, leave, true),
      }),
      link,
      generation,
      onlyAt,
      expiresAt: clock.currentTimeMillisUnsafe() +
        Duration.toMillis(maxAge) * (0.9 + 0.2 * Math.random()),
    }
    // At once, not when it is wanted next: somebody may be waiting for it.
    const forget = link.onClose(() => runFork(leave))
    yield* Effect.addFinalizer(() => Effect.sync(forget))
    return session
  })
})

const stateOf = <A, E>(pool: Pool.Pool<A, E>): PoolState => {
  const { used, idle, pending } = Effect.runSync(Pool.stats(pool))
  return { inUse: used, idle, waiting: pending }
}

const nothing = () => {}

/** Whether whoever wants a connection now has it at once. */
const isFree = <A, E>({ state }: Pool.Pool<A, E>) =>
  state.waiters.size === 0 && state.availableHead?.exit._tag === "Success"

/** Connections that are verified before the first statement that wants them runs. */
const makePool = Effect.fnUntraced(function* (options: ConnectionPoolOptions) {
  const { name, maxConnections, incidents, admit } = options
  const { generations, statementSucceeded, statementFailed, statementNotSent } = incidents
  const clock = yield* Clock.Clock
  const invalidate = (session: Session) => Pool.invalidate(pool, session)
  const pool: Pool.Pool<Session, SqlError.SqlError> = yield* Pool.makeWithTTL({
    acquire: yield* makeOpen(options, () => metrics, invalidate),
    min: 0,
    max: maxConnections,
    timeToLive: idleTime,
  })
  const metrics = yield* makePoolMetrics(name, maxConnections, () => stateOf(pool))

  const isUsable = ({ link, generation, onlyAt, expiresAt }: Session) =>
    !link.isCancelled && link.socket?.destroyed === false && generation === generations.current &&
    onlyAt === generations.onlyAt &&
    clock.currentTimeMillisUnsafe() < expiresAt

  /** Takes note of how long it was waited for a connection, and whether there was none. */
  const noted = <A, E, R>(
    wait: (onLease: () => void) => Effect.Effect<A, E | SqlError.SqlError, R>,
  ) =>
    Effect.suspend(() => {
      if (isFree(pool)) {
        metrics.immediate++
        return wait(nothing)
      }
      const began = performance.now()
      let isWaiting = true
      const onLease = () => {
        isWaiting = false
        metrics.waited((performance.now() - began) / 1000)
      }
      return wait(onLease).pipe(
        Effect.onExit((exit) => {
          if (!isWaiting) return Effect.void
          onLease()
          const error = Exit.findErrorOption(exit)
          return Option.isSome(error) && SqlError.isSqlError(error.value)
            ? statementNotSent(error.value)
            : Effect.void
        }),
      )
    })

  const borrow: SqlConnection.Borrower = (use) =>
    noted((onLease) =>
      Pool.use(pool, (session) => {
        onLease()
        if (!isUsable(session)) return Effect.andThen(invalidate(session), borrow(use))
        const { watched } = session
        return admit === undefined ? use(watched) : Effect.andThen(admit(watched), use(watched))
      })
    )

  const acquire: Effect.Effect<Session, SqlError.SqlError, Scope.Scope> = noted((onLease) =>
    Effect.flatMap(Pool.get(pool), (session) => {
      onLease()
      if (!isUsable(session)) return Effect.andThen(invalidate(session), acquire)
      return admit === undefined
        ? Effect.succeed(session)
        : Effect.as(admit(session.watched), session)
    })
  )

  const reserve = Effect.flatMap(
    acquire,
    (session) =>
      Effect.map(session.watched.connection.pin, (pinned) => ({
        pinned,
        watched: new WatchedConnection(pinned, {
          succeeded: statementSucceeded,
          failed: (error) => statementFailed(error, invalidate(session), false),
        }),
      })),
  )

  return { borrow, acquire: Effect.map(acquire, ({ watched }) => watched), reserve }
})

/** A client on a pool of its own. */
export const make = Effect.fnUntraced(function* (
  options: ConnectionPoolOptions,
): Effect.fn.Return<PgClient.PgClient, never, Scope.Scope | Reactivity.Reactivity> {
  const { config, isOneServer } = options
  const { borrow, acquire, reserve } = yield* makePool(options)
  const client = yield* SqlClient.make({
    acquirer: acquire,
    borrower: borrow,
    transactionAcquirer: Effect.map(reserve, ({ watched }) => watched),
    compiler: PgClient.makeCompiler(),
    driver: "pg",
    prepareTransactionControls: true,
    commit,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    spanAttributes: [
      ["db.system.name", "postgresql"],
      ["db.namespace", config.database ?? config.username ?? "postgres"],
      ...isOneServer
        ? [
          ["server.address", config.host ?? "localhost"] as const,
          ["server.port", config.port ?? 5432] as const,
        ]
        : [],
    ],
  })
  return Object.assign(client, {
    [PgClient.TypeId]: PgClient.TypeId,
    config,
    json: (value: unknown) => Statement.fragment([pgJson(value)]),
    listen: (channel: string) => Effect.flatMap(reserve, ({ pinned }) => pinned.listen(channel)),
    notify: (channel: string, payload: string) =>
      Effect.asVoid(client`SELECT pg_notify(${channel}, ${payload})`),
  })
})
