/**
 * Group commit: writes that arrive together are one statement and one commit.
 *
 * The group only does what is certain: its statement leaves out the rows that another transaction
 * holds and those that conflict, and waits only briefly for what it cannot see, such as the same key
 * in a transaction that has not ended. Each of these, and all of a group in which one row violated a
 * constraint, is then a statement of its own, which alone decides what is wrong with it. A row that is
 * not what it should be is the concern of its own caller: what the others did is done.
 */
import { Effect, Predicate, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import { interpretErrors, isUndoneForARow } from "../Constraints.ts"
import { makeWaitFor } from "../LockWaits.ts"
import * as Batcher from "./Batcher.ts"

interface GroupCommit<Call, Row, E> {
  /** What a trace calls it. */
  readonly name: string
  readonly single: (call: Call) => Effect.Effect<Row, E | DatabaseUnavailable>
  /** The rows of the calls that were carried out, in any order, each call with a key of its own. */
  readonly batch: (
    calls: ReadonlyArray<readonly [key: string, call: Call]>,
  ) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError | Schema.SchemaError>
  readonly row: Schema.ConstraintDecoder<Row>
  /** The property of rows that is the key of the call which they answer. */
  readonly keyedBy: "id" | "tokenHash"
  /** The key of a call; an id that is made for its row, or one that the call brings. */
  readonly key: (call: Call) => string
  /** What calls that need the same lock have in common. */
  readonly lock: (call: Call) => string
}

/** Makes a function that carries a write out, by itself or in a group. */
export const makeGroupCommit = Effect.fnUntraced(function* <Call, Row, E>(
  sql: SqlClient.SqlClient,
  { name, single, batch, row, keyedBy, key, lock }: GroupCommit<Call, Row, E>,
) {
  const interpret = interpretErrors()
  const decode = Schema.decodeUnknownEffect(row)
  const keyIn = (found: unknown) =>
    Predicate.hasProperty(found, keyedBy) ? found[keyedBy] : undefined

  const inGroup = yield* Batcher.make<Call, unknown, Row, E | DatabaseUnavailable>({
    sql,
    name,
    reads: false,
    single,
    batch: Effect.fnUntraced(function* (calls: ReadonlyArray<Call>) {
      const keyed = calls.map((call) => [key(call), call] as const)
      // After a lost connection nothing is repeated: the group may have been committed.
      const rows = yield* Effect.catchIf(batch(keyed), isUndoneForARow, () => Effect.succeed([]))
      const byKey = new Map(rows.map((found) => [keyIn(found), found]))
      return keyed.map(([key]) => {
        const found = byKey.get(key)
        return found === undefined ? Batcher.undone : Batcher.done(found)
      })
    }, interpret),
    decode: (found) => interpret(decode(found)),
  })
  const waitFor = yield* makeWaitFor(sql)
  return (call: Call) => waitFor(lock(call), Effect.suspend(() => single(call)), inGroup(call))
})
