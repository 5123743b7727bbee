/**
 * A connection as `SqlClient` wants it, whose errors somebody is told of.
 */
import type { PgConnection } from "@effect/sql-pg"
import { type Cause, Effect, Stream } from "effect"
import type { SqlConnection, SqlError } from "effect/sql"

export type OnError = (error: SqlError.SqlError) => Effect.Effect<void>

type Transform =
  | (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>)
  | undefined

const rowsOf = ({ rows }: PgConnection.Result) => Effect.succeed(rows)

export class WatchedConnection implements SqlConnection.Connection {
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
