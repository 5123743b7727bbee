/**
 * Group commit: writes that arrive together are one statement and one commit.
 *
 * The group only does what is certain: its statement leaves out the rows that another transaction
 * holds and those that conflict, and waits only briefly for what it cannot see, such as the same key
 * in a transaction that has not ended. Each of these, and all of a group in which one row violated a
 * constraint, is then a statement of its own, which alone decides what is wrong with it. A row that is
 * not what it should be is the concern of its own caller: what the others did is done.
 */
import { Effect, Option, Predicate, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import * as Batcher from "../database/Batcher.ts"
import { interpretErrors, isUndoneForARow } from "../database/Constraints.ts"
import { makeWaitFor } from "../database/LockWaits.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"

interface GroupCommit<Call, Row, E, IdempotencyKey> {
  /** What a trace calls it. */
  readonly name: string
  readonly alone: (
    call: Call,
    idempotencyKey?: IdempotencyKey,
  ) => Effect.Effect<Row, E | DatabaseUnavailable>
  /** The rows of the calls that were carried out, in any order, each call with a key of its own. */
  readonly together: (
    calls: ReadonlyArray<readonly [key: string, call: Call]>,
  ) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError | Schema.SchemaError>
  readonly row: Schema.ConstraintDecoder<Row>
  /** The property of rows that is the key of the call which they answer. */
  readonly keyedBy: "id" | "tokenHash"
  /** The key of a call; by default a random id, which its row gets. */
  readonly key?: (call: Call) => string
  /** What calls that need the same lock have in common. */
  readonly lock: (call: Call) => string
}

/**
 * Makes a function that carries a write out, alone or in a group. One with an idempotency key is done
 * alone, because what its key belongs to has to be looked at.
 */
export const makeGroupCommit = Effect.fnUntraced(function* <Call, Row, E, IdempotencyKey = never>(
  sql: SqlClient.SqlClient,
  { name, alone, together, row, keyedBy, key = () => crypto.randomUUID(), lock }: GroupCommit<
    Call,
    Row,
    E,
    IdempotencyKey
  >,
) {
  const interpret = interpretErrors()
  const decode = Schema.decodeUnknownEffect(row)
  const keyIn = (found: unknown) =>
    Predicate.hasProperty(found, keyedBy) ? found[keyedBy] : undefined

  const inGroup = yield* Batcher.make<Call, Row, E | DatabaseUnavailable>({
    sql,
    name,
    reads: false,
    alone: (call) => alone(call),
    together: Effect.fnUntraced(function* (calls: ReadonlyArray<Call>) {
      const keyed = calls.map((call) => [key(call), call] as const)
      // After a lost connection nothing is repeated: the group may have been committed.
      const rows = yield* Effect.catchIf(together(keyed), isUndoneForARow, () => Effect.succeed([]))
      const byKey = new Map(rows.map((found) => [keyIn(found), found]))
      return keyed.map(([key]) =>
        Option.map(
          Option.fromUndefinedOr(byKey.get(key)),
          (found) => interpret(decode(found)),
        )
      )
    }, interpret),
  })
  const waitFor = yield* makeWaitFor(sql)
  return (call: Call, idempotencyKey?: IdempotencyKey) =>
    idempotencyKey === undefined
      ? waitFor(lock(call), Effect.suspend(() => alone(call)), inGroup(call))
      : waitFor(lock(call), alone(call, idempotencyKey))
})
