import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as Position from "../../../src/database/replica/Position.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const position: Position.Position = { cluster: "7431", timeline: 2, lsn: 100n }

describe("a position", () => {
  it("is a text for clients", () => {
    const text = Position.format(position)
    assert.strictEqual(text, "7431.2.100")
    assert.deepStrictEqual(Position.parse(text), Option.some(position))
  })

  it.each(["", "unknown", "1.2", "1.2.3.4", "1.2.-3", "1.2.3 ", "1.2.3\n", "a.b.c", "1..2"])(
    "is not %j",
    (text) => assert.deepStrictEqual(Position.parse(text), Option.none()),
  )

  it("has another that is as far, on the same branch or an earlier one", () => {
    assert.isTrue(Position.isAt(position, position))
    assert.isTrue(Position.isAt({ ...position, lsn: 101n }, position))
    assert.isTrue(Position.isAt({ ...position, timeline: 3 }, position))
    assert.isFalse(Position.isAt({ ...position, lsn: 99n }, position))
    assert.isFalse(Position.isAt({ ...position, timeline: 1, lsn: 200n }, position))
    assert.isFalse(Position.isAt({ ...position, cluster: "7432", lsn: 200n }, position))
    assert.isTrue(Position.isAsFar({ ...position, timeline: 1 }, position))
    assert.isFalse(Position.isAsFar({ ...position, lsn: 99n }, position))
    assert.isFalse(Position.isAsFar({ ...position, cluster: "7432" }, position))
  })
})

layer(TestDatabase.layerClient)("of the server", (it) => {
  it.effect("is known to roles without rights, and is after what was committed before", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const role = `latchkey_nobody_${crypto.randomUUID().replaceAll("-", "")}`
      yield* Effect.acquireRelease(
        sql`CREATE ROLE ${sql(role)}`,
        () => Effect.orDie(sql`DROP ROLE ${sql(role)}`),
      )
      const asked = sql.withTransaction(
        Effect.andThen(sql`SET LOCAL ROLE ${sql(role)}`, Position.ofPrimary(sql)),
      )
      const before = Option.getOrThrow(yield* asked)
      const [written] = yield* sql<{ readonly lsn: string }>`
        SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::text AS lsn
        FROM pg_catalog.pg_logical_emit_message(true, 'test', 'a commit')`
      const after = Option.getOrThrow(yield* asked)
      assert.isTrue(Position.isAt(after, before))
      assert.isFalse(Position.isAt(before, after))
      assert.isAtLeast(Number(after.lsn), Number(written?.lsn))
    }))
})
