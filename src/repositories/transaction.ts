import type { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { retryConflicts } from "../database/Constraints.ts"
import { matchTransaction } from "../database/matchTransaction.ts"

/**
 * Runs statements as one transaction, which is repeated after a conflict unless it is only a part of
 * a transaction of the caller.
 */
export const inTransaction =
  (sql: SqlClient.SqlClient) =>
  <A, E, R>(statements: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> => {
    const transaction = sql.withTransaction(statements)
    return matchTransaction(sql, {
      inside: () => transaction,
      outside: () => retryConflicts(transaction),
    })
  }
