/**
 * The version of a user, which its ETag is: no state of a row has one that an earlier state had.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { assertProblem } from "../support/answers.ts"
import { createUser } from "../support/bodies.ts"
import { get, patch } from "../support/calls.ts"
import { TestService } from "../support/TestService.ts"

const versionOf = (id: unknown) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql`SELECT version::int FROM users WHERE id = ${id}`.values,
      (rows) => Number(rows[0]?.[0]),
    )
  )

layer(TestService)("users.version", (it) => {
  it.effect("refuses an ETag of before, when the sequence has restarted since", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* createUser()
      const path = `/v1/users/${id}`
      yield* patch(path, { fullName: "Ada" })
      yield* patch(path, { fullName: "Grace" })
      const stale = (yield* get(path)).headers["etag"] ?? ""
      yield* patch(path, { fullName: "Edsger" })
      // The next value of the sequence is the stale version.
      yield* sql.unsafe(`ALTER SEQUENCE users_version_seq RESTART WITH ${stale.slice(1, -1)}`)
      yield* patch(path, { fullName: "Barbara" })

      const answer = yield* patch(path, { fullName: "Lost" }, { headers: { "if-match": stale } })
      assertProblem(answer, 412, "precondition-failed")
    }))

  it.effect("rises with every change, wherever the sequence stands", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* createUser()
      const versions = [yield* versionOf(id)]
      for (const position of [1, 1_000, 1, 999]) {
        yield* sql.unsafe(`ALTER SEQUENCE users_version_seq RESTART WITH ${position}`)
        yield* sql`UPDATE users SET full_name = ${`at ${position}`} WHERE id = ${String(id)}`
        versions.push(yield* versionOf(id))
      }
      assert.deepStrictEqual(versions, [...new Set(versions)].sort((a, b) => a - b))
    }))

  it.effect("is set by PostgreSQL's own functions, whatever another schema calls so", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* createUser()
      const before = yield* versionOf(id)
      yield* Effect.gen(function* () {
        yield* sql`CREATE SCHEMA stranger`
        yield* sql`
          CREATE FUNCTION stranger.now() RETURNS timestamptz
          LANGUAGE sql AS $$ SELECT '1999-01-01'::timestamptz $$`
        yield* sql`
          CREATE FUNCTION stranger.nextval(text) RETURNS bigint LANGUAGE sql AS $$ SELECT 0 $$`
        yield* sql`SET LOCAL search_path = stranger, public, pg_catalog`
        yield* sql`UPDATE users SET full_name = 'Ada' WHERE id = ${String(id)}`
      }).pipe(sql.withTransaction)
      assert.isAbove(yield* versionOf(id), before)
      const { json } = yield* get(`/v1/users/${id}`)
      assert.notMatch(JSON.stringify(json), /1999/)
    }))

  it.effect("no function of the schema looks for names along the caller's search_path", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      // Those whose names were looked up when they were made have a body that is no text.
      const rows = yield* sql`
        SELECT proname, proconfig
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prosqlbody IS NULL`.values
      assert.isNotEmpty(rows)
      for (const [name, settings] of rows) {
        assert.deepStrictEqual(settings, [`search_path=""`], String(name))
      }
    }))
})
