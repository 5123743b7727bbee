import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { UserRepository } from "../../src/repositories/users/UserRepository.ts"
import { blockedSession, tokensElsewhere } from "../support/elsewhere.ts"
import { aUser } from "../support/factories.ts"
import { aSavedToken } from "../support/saved.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** Makes every new user of this name fail with a code, and gives the number of times it did. */
const failing = Effect.fnUntraced(function* (name: string, code: string) {
  const sql = yield* SqlClient.SqlClient
  const object = `fail_${crypto.randomUUID().replaceAll("-", "")}`
  yield* sql`CREATE SEQUENCE ${sql(object)}`
  yield* sql.unsafe(`
    CREATE FUNCTION ${object}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM nextval('${object}');
      RAISE EXCEPTION 'on purpose' USING ERRCODE = '${code}';
    END $$`)
  yield* sql.unsafe(`
    CREATE TRIGGER ${object} BEFORE INSERT ON users
    FOR EACH ROW WHEN (NEW.full_name = '${name}') EXECUTE FUNCTION ${object}()`)
  return Effect.map(
    sql<{ readonly times: number }>`SELECT last_value::int AS times FROM ${sql(object)}`,
    ([row]) => row?.times,
  )
})

layer(TestDatabase.layerRepositories, { excludeTestServices: true })("a conflict", (it) => {
  it.effect("of two transactions that wait for each other is settled, and both are done", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const tokens = yield* tokensElsewhere()
      const { userId, tokenHash } = yield* aSavedToken()

      const revoking = yield* Effect.gen(function* () {
        // PostgreSQL gives up whoever looks for the deadlock first.
        yield* sql`SET LOCAL deadlock_timeout = '1min'`
        yield* sql`SELECT FROM refresh_tokens WHERE token_hash = ${tokenHash} FOR UPDATE`
        const revoking = yield* Effect.forkDetach(tokens.revokeAllForUser(userId))
        yield* blockedSession
        yield* sql`UPDATE users SET full_name = 'Both' WHERE id = ${userId}`
        return revoking
      }).pipe(sql.withTransaction)

      assert.strictEqual(yield* Fiber.join(revoking), 1)
      const rows = yield* sql`SELECT full_name FROM users WHERE id = ${userId}`
      assert.deepStrictEqual(rows, [{ full_name: "Both" }])
    }))

  it.effect.each(["40001", "40P01"])(
    "%s that does not end is an outage, after four tries",
    (code) =>
      Effect.gen(function* () {
        const users = yield* UserRepository
        const fullName = `Fails ${code}`
        const times = yield* failing(fullName, code)

        const error = yield* Effect.flip(users.create(aUser({ fullName })))
        assert.strictEqual(error._tag, "DatabaseUnavailable")
        assert.strictEqual(yield* times, 4)
      }),
  )

  it.effect("in a transaction of the caller is left to the caller", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const users = yield* UserRepository
      const times = yield* failing("Part", "40001")

      const error = yield* users.create(aUser({ fullName: "Part" })).pipe(
        sql.withTransaction,
        Effect.flip,
      )
      assert.strictEqual(error._tag, "DatabaseUnavailable")
      assert.strictEqual(yield* times, 1)
    }))

  it.effect("is nothing that other failures are", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const times = yield* failing("Full", "53100")
      const error = yield* Effect.flip(users.create(aUser({ fullName: "Full" })))
      assert.strictEqual(error._tag, "DatabaseUnavailable")
      assert.strictEqual(yield* times, 1)
    }))
})
