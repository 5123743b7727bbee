/**
 * A connection of its own for each migration: whatever a file sets (`search_path`, role, timeouts),
 * the next one starts as fresh as the first.
 */
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Schedule, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"

/** Another run, or other traffic, held what a migration needs for longer than was to be waited. */
export class MigrationLocked extends Schema.TaggedError<MigrationLocked>()("MigrationLocked", {
  waited: Schema.Duration,
  /** Who holds what. */
  reason: Schema.String,
}) {
  override get message() {
    return `${this.reason} for more than ${Duration.format(this.waited)}. ` +
      "Run `deno task migrate` again later, or let it wait longer with --wait."
  }
}

/** How long one lock may take: while a migration queues for a lock, others queue behind it. */
const setTimeouts = Effect.fnUntraced(function* (lockTimeout: Duration.Duration) {
  const sql = yield* SqlClient.SqlClient
  const milliseconds = String(Math.ceil(Duration.toMillis(lockTimeout)))
  yield* sql`
    SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN ${milliseconds} ELSE '0' END, false)
    FROM pg_settings
    WHERE name IN (
      'lock_timeout',
      'statement_timeout',
      'transaction_timeout',
      'idle_in_transaction_session_timeout'
    )
  `
  // Or a killed run would hold its locks until its statement ends. Not every platform has it.
  yield* Effect.ignore(sql`SET client_connection_check_interval = '1s'`)
})

/**
 * Gives an effect a `SqlClient` on a new connection to the same database, without row or name
 * transforms, and closes the connection after it.
 */
export const withSession =
  (client: PgClient.PgClient, lockTimeout: Duration.Duration) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.scoped(Effect.gen(function* () {
      const sql = yield* PgClient.makeClient({
        ...client.config,
        // The service's sockets give up a statement that takes as long as a migration may.
        stream: undefined,
        applicationName: "latchkey migrate",
        transformQueryNames: undefined,
        transformResultNames: undefined,
        multiplex: false,
      })
      return yield* Effect.andThen(setTimeouts(lockTimeout), effect).pipe(
        Effect.provideService(SqlClient.SqlClient, sql),
      )
    })).pipe(Effect.provide(Reactivity.layer))

/** Undoes what a migration has set for its session, before anything else is done on it. */
export const restore = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`RESET SESSION AUTHORIZATION`
  yield* sql`RESET ROLE`
  yield* sql`RESET ALL`
})

/**
 * Waits until this session is the only one that migrates the database; the lock ends with the session.
 *
 * It asks again and again instead of queueing, because a queueing session has a snapshot, and
 * `CREATE INDEX CONCURRENTLY` in the session that holds the lock would wait for it: a deadlock.
 */
export const acquireLock = Effect.fn("Session.acquireLock")(function* (wait: Duration.Duration) {
  const sql = yield* SqlClient.SqlClient
  const tryLock = sql<{ readonly locked: boolean }>`
    SELECT pg_try_advisory_lock(hashtextextended('latchkey migrations', 0)) AS locked
  `
  yield* tryLock.pipe(
    Effect.filterOrFail(
      ([row]) => row?.locked === true,
      () => new MigrationLocked({ waited: wait, reason: "Another migration run was at work" }),
    ),
    Effect.retry({
      schedule: Schedule.spaced("100 millis").pipe(
        Schedule.jittered,
        Schedule.upTo({ duration: wait }),
      ),
      while: (error) => error._tag === "MigrationLocked",
    }),
  )
})
