import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { few, outcomes } from "../../support/atOnce.ts"
import { aUserId } from "../../support/factories.ts"
import { aSavedUser } from "../../support/saved.ts"
import { Statements } from "../../support/Statements.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** A user with one failure as long ago as each of these, in minutes. */
const aUserWithFailures = Effect.fnUntraced(function* (...ages: ReadonlyArray<number>) {
  const sql = yield* SqlClient.SqlClient
  const { id, email } = yield* aSavedUser()
  yield* sql`
    INSERT INTO login_attempts (user_id, email, ip_address, success, attempted_at)
    SELECT ${id}, ${email}, '192.0.2.1', success, now() - make_interval(mins => age)
    FROM unnest(${ages}::int[]) AS given (age), (VALUES (true), (false)) AS kinds (success)`
  return id
})

layer(TestDatabase.layerRepositories.pipe(Layer.provideMerge(Statements.layer)))(
  "counts at once",
  (it) => {
    it.effect("are a few statements, each count of its own user and window", () =>
      Effect.gen(function* () {
        const attempts = yield* LoginAttemptRepository
        const { counted } = yield* Statements
        const many = yield* aUserWithFailures(1, 1, 20, 20, 20, 500, 40_000)
        const old = yield* aUserWithFailures(30)
        const none = yield* aUserWithFailures()

        const asked = Array.from({ length: 10 }, () =>
          [
            [many, 15, 2],
            [old, 15, 0],
            [many, 60, 5],
            [none, 43_200, 0],
            [aUserId(), 60, "UserNotFound"],
            [many, 43_200, 7],
            [many, 15, 2],
            [old, 43_200, 1],
          ] as const).flat()
        const [statements, found] = yield* counted(
          outcomes(asked.map(([id, minutes]) => attempts.countRecentFailures(id, minutes))),
        )
        assert.deepStrictEqual(found, asked.map(([, , count]) => count))
        assert.isAtMost(statements, few)
      }))
  },
)
