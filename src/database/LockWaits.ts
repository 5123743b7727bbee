/**
 * Waits for locks, kept to a part of the pool: while somebody holds a row for long, those who need it
 * wait, and everybody else finds a connection.
 *
 * Mostly there is nothing to wait for, so a write is first tried with a brief `lock_timeout`. One that
 * runs into it, by which PostgreSQL has undone it, waits in memory for a permit, and then for its lock
 * for a short time, again and again, so that those who wait for different locks take turns.
 */
import { Context, Duration, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import { Bulkhead } from "./Bulkhead.ts"
import { countRetry } from "./Constraints.ts"
import { whenInTransaction } from "./transactions.ts"

/** How long a first try waits for a lock: it may hold up other calls, and a connection. */
const brief = Duration.millis(10)

/** How long a write that has a permit waits for a lock before it is others' turn. */
const turn = Duration.millis(100)

const inMilliseconds = (timeout: Duration.Duration) => `${Math.ceil(Duration.toMillis(timeout))}ms`

/** Milliseconds are what PostgreSQL counts in, and none would be no bound. */
const limits = { minimum: Duration.millis(1), maximum: turn }

/**
 * `lock_timeout` of the writes of a fiber, null that of the session. The one of first tries is the
 * default, because it costs several kilobytes to provide another one.
 */
const LockTimeout = Context.Reference<string | null>("latchkey/database/LockTimeout", {
  defaultValue: () => inMilliseconds(brief),
})

const withLockTimeout = (timeout: Duration.Duration) => <A, E, R>(write: Effect.Effect<A, E, R>) =>
  Effect.provideService(write, LockTimeout, inMilliseconds(timeout))

/** Has the statements of a write wait for locks as long as the session lets them. */
export const asTheSession = <A, E, R>(write: Effect.Effect<A, E, R>) =>
  Effect.provideService(write, LockTimeout, null)

/** What `bounded` adds to the input of a statement. */
export interface Bound {
  readonly lockTimeout: string | null
}

/** Gives a statement, besides its input, the `lock_timeout` of its fiber for `lockTimeoutIs`. */
export const bounded =
  <Input extends object, A, E, R>(statement: (input: Input & Bound) => Effect.Effect<A, E, R>) =>
  (input: Input) =>
    Effect.flatMap(LockTimeout, (lockTimeout) => statement({ ...input, lockTimeout }))

/**
 * A condition that always holds, and bounds the waits of the statement that has it in its `WHERE`;
 * null leaves the bound of the session or the transaction.
 *
 * PostgreSQL evaluates it once, before it looks for rows. A setting that is local to a transaction
 * ends with a statement that is one:
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SET
 */
export const lockTimeoutIs = (sql: SqlClient.SqlClient, lockTimeout: string | null) =>
  sql`(
    SELECT pg_catalog.set_config(
      'lock_timeout',
      COALESCE(${lockTimeout}, pg_catalog.current_setting('lock_timeout')),
      true
    )
  ) IS NOT NULL`

/** The same for statements of groups, which leave out what they would have to wait for. */
export const waitsBriefly = (sql: SqlClient.SqlClient) => lockTimeoutIs(sql, inMilliseconds(brief))

/**
 * Makes a first statement for transactions of several writes: each of them waits for locks as the
 * transaction does, also those that are written to wait as the session does.
 */
export const makeBoundTransaction = (sql: SqlClient.SqlClient) => {
  const bound = bounded(({ lockTimeout }) => sql`SELECT ${lockTimeoutIs(sql, lockTimeout)}`)
  return bound({})
}

/**
 * PostgreSQL takes the cancellation by a `lock_timeout` for that of a user (57014) where the statement
 * has begun to wait for the next lock before it sees it: row locks are two, the queue's and the row's.
 * One that ran into its `statement_timeout` (57014 as well) has no time left for another turn.
 */
const isLockTimeout = (error: unknown): error is DatabaseUnavailable =>
  error instanceof DatabaseUnavailable && (error.code === "55P03" || error.code === "57014")

/** Tries a write a turn after the other until `end` (of `performance.now`), and fails as the last did. */
const inTurns =
  (bulkhead: Bulkhead, key: string, end: number, last: DatabaseUnavailable) =>
  <A, E, R>(
    write: Effect.Effect<A, E | DatabaseUnavailable, R>,
  ): Effect.Effect<A, E | DatabaseUnavailable, R> =>
    Effect.suspend(() => {
      // Whoever gets the permit too late takes no connection.
      const left = end - performance.now()
      return left <= 0 ? Effect.fail(last) : Effect.andThen(
        countRetry("lock-timeout"),
        withLockTimeout(Duration.clamp(Duration.millis(left), limits))(write),
      )
    }).pipe(
      bulkhead.lockWaits.withPermit(key),
      Effect.catchIf(
        isLockTimeout,
        (error) =>
          performance.now() < end ? inTurns(bulkhead, key, end, error)(write) : Effect.fail(error),
      ),
    )

/** Makes a function that has a write wait for locks for one turn, with a permit. */
export const makeWaitOneTurn = Effect.map(
  Bulkhead,
  (bulkhead) => (key: string) => <A, E, R>(write: Effect.Effect<A, E, R>) =>
    bulkhead.lockWaits.withPermit(key)(withLockTimeout(turn)(write)),
)

/**
 * Makes a function for writes that may have to wait for a lock: after a brief `first` try they take
 * turns. In a transaction of the caller they wait as long as the session lets them.
 */
export const makeWaitFor = (sql: SqlClient.SqlClient) =>
  Effect.map(Bulkhead, (bulkhead) => {
    const lockTimeoutMs = Duration.toMillis(bulkhead.lockTimeout)
    return <A, E, R>(
      key: string,
      write: Effect.Effect<A, E | DatabaseUnavailable, R>,
      first = write,
    ) =>
      whenInTransaction(sql, {
        inside: () => asTheSession(write),
        outside: () => {
          const end = performance.now() + lockTimeoutMs
          return Effect.catchIf(
            first,
            isLockTimeout,
            (error) => inTurns(bulkhead, key, end, error)(write),
          )
        },
      })
  })
