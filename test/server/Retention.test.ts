import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/database/Database.ts"
import { retentionLock } from "../../src/repositories/deleteInBatches.ts"
import { LoginAttemptRepository } from "../../src/repositories/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "../../src/repositories/RefreshTokenRepository.ts"
import { UserRepository } from "../../src/repositories/UserRepository.ts"
import { Maintenance } from "../../src/server/Maintenance.ts"
import * as Retention from "../../src/server/Retention.ts"
import { anAttempt, aToken, aUser } from "../support/factories.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const remaining = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`
    SELECT
      (SELECT count(*)::int FROM refresh_tokens) AS tokens,
      (SELECT count(*)::int FROM login_attempts) AS attempts`
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("retention", (it) => {
  it.effect("a scheduled run deletes what is older than its days, and only one run at a time does", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* RefreshTokenRepository
      const attempts = yield* LoginAttemptRepository
      const user = yield* UserRepository.use((users) => users.create(aUser()))
      for (const days of [6, 8]) {
        const token = yield* tokens.create(aToken(user.id))
        yield* sql`
          UPDATE refresh_tokens SET expires_at = now() - make_interval(days => ${days})
          WHERE id = ${token.id}`
      }
      for (const days of [89, 91]) {
        const attempt = yield* attempts.create(anAttempt())
        yield* sql`
          UPDATE login_attempts SET attempted_at = now() - make_interval(days => ${days})
          WHERE id = ${attempt.id}`
      }

      const { connection } = yield* TestDatabase
      yield* SqlClient.SqlClient.use((replica) =>
        replica.withTransaction(
          Effect.gen(function* () {
            yield* replica`SELECT pg_advisory_xact_lock(${retentionLock})`
            assert.strictEqual(yield* tokens.deleteExpired(0, { exclusively: true }), 0)
            assert.strictEqual(yield* attempts.deleteOld(0, { exclusively: true }), 0)
          }),
        )
      ).pipe(Effect.provide(Database.layer({ connection, maxConnections: 1 })))

      yield* remaining.pipe(
        Effect.repeat({
          until: ([row]) => row?.["tokens"] === 1 && row?.["attempts"] === 1,
          schedule: Schedule.spaced("20 millis"),
        }),
        Effect.timeout("5 minutes"),
        Effect.provide(Layer.provide(
          Retention.layer({ interval: Duration.millis(20), tokenDays: 7, attemptDays: 90 }),
          Maintenance.layer,
        )),
      )
    }))
})
