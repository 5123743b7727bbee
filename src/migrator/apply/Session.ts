/**
 * A connection of its own for each migration: whatever a file sets (`search_path`, role, timeouts),
 * the next one starts as fresh as the first, and whatever the role, the database or the server set by
 * default, files mean the same everywhere.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Duration, Effect, Option, Schedule, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { PostgresFailure } from "../PostgresFailure.ts"

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

/** The database gives no session that migrations can rely on. Nothing was done. */
export class SessionUnfit extends Schema.TaggedError<SessionUnfit>()("SessionUnfit", {
  message: Schema.String,
}) {}

/**
 * Settings that decide what a file means, by their names in `pg_settings`.
 *
 * Left to the operator is what decides only where and how well something is stored, such as
 * `default_tablespace` and `maintenance_work_mem`.
 */
const pinned: Readonly<Record<string, string>> = {
  search_path: "public, pg_temp",
  client_encoding: "UTF8",
  default_transaction_isolation: "read committed",
  default_transaction_deferrable: "off",
  // A policy that hides rows from a statement makes it fail, instead of leaving those rows as they are.
  row_security: "off",
  // The statements of the service need what only this one has, such as row locks.
  default_table_access_method: "heap",
  check_function_bodies: "on",
  standard_conforming_strings: "on",
  transform_null_equals: "off",
  array_nulls: "on",
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  // A migration takes as long as it takes.
  statement_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0",
}

/** More of them, which not every role may set or not every version has. */
const pinnedWherePossible: Readonly<Record<string, string>> = {
  // Otherwise triggers do not fire and foreign keys are not checked.
  session_replication_role: "origin",
  transaction_timeout: "0",
}

interface Setting {
  readonly name: string
  readonly setting: string
  readonly source: string
}

/** The settings of the session that are not as wanted. */
const differing = Effect.fnUntraced(function* (wanted: ReadonlyMap<string, string>) {
  const sql = yield* SqlClient.SqlClient
  const settings = yield* sql<Setting>`
    SELECT name, setting, source
    FROM pg_catalog.pg_settings
    WHERE name IN ${sql.in([...wanted.keys()])}
  `
  return settings.filter(({ name, setting }) => setting !== wanted.get(name))
})

const unfit = (setting: Setting, problem: string) =>
  new SessionUnfit({
    message: `Migrations can't run with ${setting.name} = ${JSON.stringify(setting.setting)} ` +
      `(set by: ${setting.source}); ${problem}. Nothing was applied.`,
  })

const set = (setting: Setting, value: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql`SELECT pg_catalog.set_config(${setting.name}, ${value}, false)`
  ).pipe(
    Effect.mapError((error) =>
      Option.match(PostgresFailure.of(error), {
        onNone: () => error,
        onSome: ({ words }) => unfit(setting, `it must be ${value}, but: ${words}`),
      })
    ),
  )

/** How long one lock may take: while a migration queues for a lock, others queue behind it. */
const LockTimeout = Context.Reference("latchkey/migrator/LockTimeout", {
  defaultValue: () => Duration.seconds(5),
})

const settings = (lockTimeout: Duration.Duration) => ({
  ...pinned,
  lock_timeout: String(Math.ceil(Duration.toMillis(lockTimeout))),
})

/** Sets what must be set and is not, and reads it back. */
const pin = Effect.gen(function* () {
  const wanted = new Map(Object.entries({
    ...settings(yield* LockTimeout),
    ...pinnedWherePossible,
  }))
  for (const setting of yield* differing(wanted)) {
    yield* set(setting, wanted.get(setting.name) ?? "")
  }
  const [left] = yield* differing(wanted)
  if (left !== undefined) {
    return yield* unfit(left, "it was set otherwise a moment ago and did not stay so")
  }
})

/** Refuses a server that is not to be written to, whether it would let itself be persuaded or not. */
const requireWritable = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const standby = yield* sql`SELECT WHERE pg_catalog.pg_is_in_recovery()`
  if (standby.length > 0) {
    return yield* new SessionUnfit({
      message: "Migrations can't run on a standby; connect to the primary.",
    })
  }
  const [readOnly] = yield* differing(new Map([["default_transaction_read_only", "off"]]))
  if (readOnly !== undefined) {
    return yield* unfit(readOnly, "somebody wants nothing to be written; reset it to migrate")
  }
})

const backend = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ readonly pid: number }>`SELECT pg_catalog.pg_backend_pid() AS pid`.unprepared,
    ([row]) => row?.pid,
  )

/**
 * Refuses a pooler in transaction mode, where each statement may run at another process of the server:
 * what is set and locked for this session would be another client's a moment later, and stay there.
 * Such a pooler serves two clients that take turns by one process, or one client by several; more than
 * one round, since a busy pooler may do neither in the first.
 */
const requireOwnProcess = Effect.fnUntraced(function* (other: SqlClient.SqlClient) {
  const sql = yield* SqlClient.SqlClient
  const own = yield* backend(sql)
  for (let round = 0; round < 8; round++) {
    if (own === (yield* backend(other)) || own !== (yield* backend(sql))) {
      return yield* new SessionUnfit({
        message: "DATABASE_URL leads through a pooler in transaction mode, which has no sessions " +
          "that could be locked; migrations need a direct connection. Nothing was applied.",
      })
    }
  }
})

const prepare = Effect.fnUntraced(function* (client: PgClient.PgClient) {
  const sql = yield* SqlClient.SqlClient
  yield* requireOwnProcess(client)
  yield* requireWritable
  yield* pin
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
        // What RESET ALL goes back to.
        startupParameters: { ...client.config.startupParameters, ...settings(lockTimeout) },
        // The service's sockets give up a statement that takes as long as a migration may.
        stream: undefined,
        applicationName: "latchkey migrate",
        transformQueryNames: undefined,
        transformResultNames: undefined,
        multiplex: false,
        // A file may deallocate what was prepared.
        prepare: false,
      })
      return yield* Effect.andThen(prepare(client), effect).pipe(
        Effect.provideService(SqlClient.SqlClient, sql),
        Effect.provideService(LockTimeout, lockTimeout),
      )
    })).pipe(Effect.provide(Reactivity.layer))

/** Undoes what a migration has set for its session, before anything else is done on it. */
export const restore = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`RESET SESSION AUTHORIZATION`
  yield* sql`RESET ROLE`
  yield* sql`RESET ALL`
  yield* pin
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
