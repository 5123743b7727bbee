/**
 * What depends on whether the caller has begun a transaction: in one, nothing is repeated, because it
 * ends with its connection and with its first conflict, and nothing is committed by itself.
 */
import { Context, Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { retryConflicts, retryLostConnection } from "./Constraints.ts"

/** Does one thing inside of a transaction of the caller and another outside of any. */
export const whenInTransaction = <A, E, R, A2, E2, R2>(
  { transactionService }: SqlClient.SqlClient,
  { inside, outside }: {
    readonly inside: () => Effect.Effect<A, E, R>
    readonly outside: () => Effect.Effect<A2, E2, R2>
  },
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.withFiber<A | A2, E | E2, R | R2>(({ context }) =>
    Context.getOrUndefined(context, transactionService) === undefined ? outside() : inside()
  )

type Wrap = (sql: SqlClient.SqlClient) => <A, E, R>(
  statements: Effect.Effect<A, E | SqlError.SqlError, R>,
) => Effect.Effect<A, E | SqlError.SqlError, R>

/**
 * Runs a statement that only reads, once more where its connection turns out to be dead: closed by a
 * restart of the server, or by a firewall that forgets idle connections.
 */
export const retryRead: Wrap = (sql) => (read) =>
  whenInTransaction(sql, { inside: () => read, outside: () => retryLostConnection(read) })

/**
 * Runs a statement that may violate a constraint. In a transaction of the caller it gets a savepoint,
 * or the violation would spoil the transaction: neither could the reason be looked up, nor could the
 * caller do something else instead. Outside of one the statement is its own transaction, and may be
 * repeated after a conflict.
 */
export const withSavepointOrRetry: Wrap = (sql) => (write) =>
  whenInTransaction(sql, {
    inside: () => sql.withTransaction(write),
    outside: () => retryConflicts(write),
  })

/**
 * Runs statements as one transaction, which is repeated after a conflict unless it is only a part of
 * a transaction of the caller.
 */
export const inTransaction: Wrap = (sql) => (statements) => {
  const transaction = sql.withTransaction(statements)
  return whenInTransaction(sql, {
    inside: () => transaction,
    outside: () => retryConflicts(transaction),
  })
}
