/**
 * A second session: what waits there for a lock that the test's own transaction holds.
 */
import { Context, Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { RefreshTokenRepository } from "../../src/repositories/RefreshTokenRepository.ts"
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
