import type { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { retryConflicts } from "../database/Constraints.ts"
import { matchTransaction } from "../database/matchTransaction.ts"

/**
 * Runs a statement that may violate a constraint. In a transaction of the caller it gets a savepoint,
 * or the violation would spoil the transaction: neither could the reason be looked up, nor could the
 * caller do something else instead. Outside of one the statement is its own transaction, and may be
 * repeated after a conflict.
 */
export const withSavepoint =
  (sql: SqlClient.SqlClient) =>
  <A, E, R>(write: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
    matchTransaction(sql, {
      inside: () => sql.withTransaction(write),
      outside: () => retryConflicts(write),
    })
