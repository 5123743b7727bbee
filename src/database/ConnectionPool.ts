/**
 * `PgClient` on a pool whose connections are verified when they are made, and leave it for good when
 * an error says that they lead to the wrong place, when they are old, or when all of them must.
 *
 * Built of the driver's own pool and connections: its `PgClient.make` has no hook for a new connection
 * and lends none of them out to be invalidated.
 */
import { PgClient, PgConnection, PgPool } from "@effect/sql-pg"
import { type Cause, Clock, Duration, Effect, Option, Predicate, type Scope, Stream } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { deniedWords, isRightMissing, isWrongConnection, isWrongServer } from "./Constraints.ts"
import { unfitnessOf } from "./SessionSettings.ts"

/** How often a line of the log may be repeated while statements fail for the same reason. */
const quietTime = Duration.minutes(1)

/** How often all connections may be replaced: a server may be read-only on purpose, and for long. */
const retirementInterval = Duration.seconds(5)

/** Lets an effect run at most once in a time; for the others it is as if there were none. */
const atMostEvery = (interval: Duration.Duration) => {
  let next = Number.NEGATIVE_INFINITY
  return <R>(effect: Effect.Effect<void, never, R>) =>
    Effect.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      if (now < next) return Effect.void
      next = now + Duration.toMillis(interval)
      return effect
    })
}

/** The connections of some pools, as far as they may be used; made anew, one generation is replaced. */
export interface Generations {
  current: number
  /** Replaces all connections of now when they are wanted next. */
  readonly replace: Effect.Effect<void>
}

export const makeGenerations = (): Generations => {
  const seldom = atMostEvery(retirementInterval)
  const quietly = atMostEvery(quietTime)
  const generations: Generations = {
    current: 0,
    replace: seldom(Effect.suspend(() => {
      generations.current++
      return quietly(
        Effect.logWarning(
          "The database is read-only; its connections are replaced, since the name of the server " +
            "may lead to another one by now",
        ),
      )
    })),
  }
  return generations
}

export interface ConnectionPoolOptions {
  readonly config: PgClient.PgPoolConfig
  /** Fails when a new connection is not what it must be; it is closed then. */
  readonly verify: (
    connection: PgConnection.PgConnection,
  ) => Effect.Effect<void, SqlError.SqlError>
  /** The greatest age of a connection, give or take a tenth. */
  readonly maxAge: Duration.Duration
  readonly generations: Generations
}

type OnError = (error: SqlError.SqlError) => Effect.Effect<void>

type Transform =
  | (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>)
  | undefined

const rowsOf = ({ rows }: PgConnection.Result) => Effect.succeed(rows)

/** A connection as `SqlClient` wants it. */
class WatchedConnection implements SqlConnection.Connection {
  /** Made once: nearly all statements of the service go through these. */
  private readonly rows: {
    readonly onSuccess: typeof rowsOf
    readonly onFailure: (
      cause: Cause.Cause<SqlError.SqlError>,
    ) => Effect.Effect<never, SqlError.SqlError>
  }

  constructor(
    readonly connection: PgConnection.PgConnection,
    readonly onError: OnError,
  ) {
    this.rows = {
      onSuccess: rowsOf,
      onFailure: (cause) => Effect.tapError(Effect.failCause(cause), onError),
    }
  }

  execute(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.run(sql, params, transform, true)
  }

  executeUnprepared(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.run(sql, params, transform, false)
  }

  executeRaw(sql: string, params: ReadonlyArray<unknown>) {
    return Effect.tapError(this.connection.query(sql, params), this.onError)
  }

  executeValues(sql: string, params: ReadonlyArray<unknown>) {
    return Effect.tapError(this.connection.queryValues(sql, params), this.onError)
  }

  executeValuesUnprepared(sql: string, params: ReadonlyArray<unknown>) {
    return Effect.tapError(this.connection.queryValues(sql, params, false), this.onError)
  }

  executeStream(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    const rows = Stream.tapError(this.connection.stream(sql, params), this.onError)
    return transform === undefined ? rows : Stream.map(rows, (row) => transform([row])[0])
  }

  private run(
    sql: string,
    params: ReadonlyArray<unknown>,
    transform: Transform,
    prepare: boolean,
  ): Effect.Effect<ReadonlyArray<PgConnection.Row>, SqlError.SqlError> {
    const rows = Effect.matchCauseEffect(this.connection.query(sql, params, prepare), this.rows)
    return transform === undefined ? rows : Effect.map(rows, transform)
  }
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

/** What is known of a connection that was verified. */
interface Session {
  readonly watched: WatchedConnection
  readonly generation: number
  /** By the clock of the process, in milliseconds. */
  readonly expiresAt: number
}

/** Connections that are verified before the first statement that wants them runs. */
const makePool = Effect.fnUntraced(function* (options: ConnectionPoolOptions) {
  const { config, verify, maxAge, generations } = options
  const pool = yield* PgPool.make(config)
  const clock = yield* Clock.Clock
  const sessions = new WeakMap<PgConnection.PgConnection, Session>()
  const ofRights = atMostEvery(quietTime)
  const ofSessions = atMostEvery(quietTime)

  /** `isAlone`: outside of a transaction of ours, in which a failed statement makes the next fail. */
  const onErrorOf =
    (connection: PgConnection.PgConnection, isAlone: boolean): OnError => (error) => {
      if (isWrongServer(error)) return generations.replace
      if (isWrongConnection(error, isAlone)) return pool.invalidate(connection)
      return isRightMissing(error)
        ? ofRights(Effect.logError(
          `A statement failed for want of a right: ${deniedWords(error)} (42501). ` +
            "`deno task migrate grant ROLE` grants what the service needs.",
        ))
        : Effect.void
    }

  const open = (connection: PgConnection.PgConnection) => {
    const generation = generations.current
    return verify(connection).pipe(
      Effect.tapError((error) =>
        Option.match(unfitnessOf(error), {
          onNone: () => Effect.void,
          onSome: ({ message }) => ofSessions(Effect.logError(message)),
        })
      ),
      Effect.onError(() => pool.invalidate(connection)),
      Effect.map(() => {
        const session: Session = {
          watched: new WatchedConnection(connection, onErrorOf(connection, true)),
          generation,
          expiresAt: clock.currentTimeMillisUnsafe() +
            Duration.toMillis(maxAge) * (0.9 + 0.2 * Math.random()),
        }
        sessions.set(connection, session)
        return session
      }),
    )
  }

  const isCurrent = ({ generation, expiresAt }: Session) =>
    generation === generations.current && clock.currentTimeMillisUnsafe() < expiresAt

  const borrow: SqlConnection.Borrower = (use) =>
    pool.use((connection) => {
      const session = sessions.get(connection)
      if (session === undefined) {
        return Effect.flatMap(open(connection), ({ watched }) => use(watched))
      }
      return isCurrent(session)
        ? use(session.watched)
        : Effect.andThen(pool.invalidate(connection), borrow(use))
    })

  const acquire: Effect.Effect<Session, SqlError.SqlError, Scope.Scope> = Effect.flatMap(
    pool.get,
    (connection) => {
      const session = sessions.get(connection)
      if (session === undefined) return open(connection)
      return isCurrent(session)
        ? Effect.succeed(session)
        : Effect.andThen(pool.invalidate(connection), acquire)
    },
  )

  const reserve = Effect.flatMap(acquire, ({ watched: { connection } }) =>
    Effect.map(
      connection.pin,
      (pinned) => ({
        pinned,
        watched: new WatchedConnection(pinned, onErrorOf(connection, false)),
      }),
    ))

  return { borrow, acquire: Effect.map(acquire, ({ watched }) => watched), reserve }
})

/** A client on a pool of its own. */
export const make = Effect.fnUntraced(function* (
  options: ConnectionPoolOptions,
): Effect.fn.Return<
  PgClient.PgClient,
  SqlError.SqlError,
  Scope.Scope | Reactivity.Reactivity
> {
  const { config } = options
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
      ["server.address", config.host ?? "localhost"],
      ["server.port", config.port ?? 5432],
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
