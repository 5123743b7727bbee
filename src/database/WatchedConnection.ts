/**
 * A connection as `SqlClient` wants it, whose errors somebody is told of.
 */
import type { PgConnection } from "@effect/sql-pg"
import { type Cause, Effect, Stream } from "effect"
import type { SqlConnection, SqlError } from "effect/sql"

/** Who is told what becomes of statements. */
export interface Watcher {
  /** Nothing is to be done, mostly. */
  readonly succeeded: () => Effect.Effect<void> | undefined
  readonly failed: (error: SqlError.SqlError) => Effect.Effect<void>
}

type Transform =
  | (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>)
  | undefined

const rowsOf = ({ rows }: PgConnection.Result) => rows

/** What is done when a statement has ended; made once, since nearly all that the service does is these. */
const makeWatch = <A, B>({ succeeded, failed }: Watcher, pick: (result: A) => B) => ({
  onSuccess: (result: A) => {
    const news = succeeded()
    return news === undefined ? Effect.succeed(pick(result)) : Effect.as(news, pick(result))
  },
  onFailure: (cause: Cause.Cause<SqlError.SqlError>) =>
    Effect.tapError(Effect.failCause(cause), failed),
})

export class WatchedConnection implements SqlConnection.Connection {
  private readonly rows
  private readonly results
  private readonly values

  constructor(
    readonly connection: PgConnection.PgConnection,
    private readonly watcher: Watcher,
  ) {
    this.rows = makeWatch(watcher, rowsOf)
    this.results = makeWatch(watcher, (result: PgConnection.Result) => result)
    this.values = makeWatch(watcher, (rows: ReadonlyArray<ReadonlyArray<unknown>>) => rows)
  }

  execute(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.run(sql, params, transform, true)
  }

  executeUnprepared(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.run(sql, params, transform, false)
  }

  executeRaw(sql: string, params: ReadonlyArray<unknown>) {
    return Effect.matchCauseEffect(this.connection.query(sql, params), this.results)
  }

  executeValues(sql: string, params: ReadonlyArray<unknown>) {
    return Effect.matchCauseEffect(this.connection.queryValues(sql, params), this.values)
  }

  executeValuesUnprepared(sql: string, params: ReadonlyArray<unknown>) {
    return Effect.matchCauseEffect(this.connection.queryValues(sql, params, false), this.values)
  }

  executeStream(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    const rows = Stream.tapError(this.connection.stream(sql, params), this.watcher.failed)
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
