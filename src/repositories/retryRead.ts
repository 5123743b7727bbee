import type { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { retryLostConnection } from "../database/Constraints.ts"
import { matchTransaction } from "../database/matchTransaction.ts"

/**
 * Runs a statement that only reads, once more where its connection turns out to be dead: closed by a
 * restart of the server, or by a firewall that forgets idle connections. A transaction of the caller
 * ended with its connection, so in one nothing is repeated.
 */
export const retryRead =
  (sql: SqlClient.SqlClient) =>
  <A, E, R>(read: Effect.Effect<A, E | SqlError.SqlError, R>): Effect.Effect<
    A,
    E | SqlError.SqlError,
    R
  > => matchTransaction(sql, { inside: () => read, outside: () => retryLostConnection(read) })
