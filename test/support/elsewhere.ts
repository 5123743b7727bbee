/**
 * A second session: what waits there for a lock that the test's own transaction holds.
 */
import { Context, Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/refreshTokens/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { eventually } from "./EmbeddedServer.ts"
import { TestDatabase } from "./TestDatabase.ts"

/** Refresh tokens over a connection of their own. */
export const tokensElsewhere = Effect.fnUntraced(function* (
  lockTimeout: Duration.Duration = Duration.minutes(1),
) {
  const { connection } = yield* TestDatabase
  const services = yield* Layer.build(
    // Not the repository that the tests of a file share, which is on the test's own session.
    Layer.fresh(RefreshTokenRepository.layer).pipe(
      Layer.provide(Database.layer({ connection, maxConnections: 1, lockTimeout })),
    ),
  )
  return Context.get(services, RefreshTokenRepository)
})

/** Waits, on the real clock, until another session waits for this transaction; gives its pid. */
export const blockedSession = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const blocked = sql<{ readonly pid: number }>`
    SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`
  const [session] = yield* Effect.repeat(blocked, {
    until: (sessions) => sessions.length > 0,
    schedule: Schedule.spaced("5 millis"),
  })
  return session?.pid ?? 0
})

/** The repositories on a pool of their own, whose statements wait for locks as long as it takes. */
export const serviceWith = Effect.fnUntraced(function* (
  maxConnections: number,
  lockTimeout: Duration.Duration = Duration.minutes(10),
) {
  const { connection } = yield* TestDatabase
  const services = yield* Layer.build(
    Layer.fresh(Layer.mergeAll(
      UserRepository.layer,
      RefreshTokenRepository.layer,
      LoginAttemptRepository.layer,
    )).pipe(
      Layer.provideMerge(Database.layer({ connection, maxConnections, lockTimeout })),
    ),
  )
  return {
    sql: Context.get(services, SqlClient.SqlClient),
    users: Context.get(services, UserRepository),
    tokens: Context.get(services, RefreshTokenRepository),
    attempts: Context.get(services, LoginAttemptRepository),
  }
})
export type Service = Effect.Success<ReturnType<typeof serviceWith>>

/** How many sessions of this database wait for a lock. */
const sessionsWaiting = SqlClient.SqlClient.use((sql) =>
  Effect.map(
    sql`
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    ({ length }) => length,
  )
)

/** Waits until so many sessions of this database, or more, wait for a lock. */
export const untilBlocked = (sessions: number) =>
  eventually(Effect.map(sessionsWaiting, (found) => found >= sessions))

/** Waits until exactly so many do. */
export const untilWaiting = (sessions: number) =>
  eventually(Effect.map(sessionsWaiting, (found) => found === sessions))
