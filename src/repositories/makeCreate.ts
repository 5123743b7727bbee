/**
 * Creating a row: by itself or in a group, and with an `Idempotency-Key` at most once. The key becomes
 * the row's id, and a fingerprint of the request stays beside the row. A row holds its key for as long
 * as it lives.
 */
import { createHash } from "node:crypto"
import { Effect, Option, Schema } from "effect"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import { makeGroupCommit } from "../database/batching/groupCommit.ts"
import { interpretErrors } from "../database/Constraints.ts"
import { makeWaitFor } from "../database/LockWaits.ts"
import { retryRead } from "../database/transactions.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import { nullable } from "../schema/nullable.ts"

/**
 * SHA-256 of what a request sent. Taken over the encoded values, so that order, an absent or a null
 * property and the spelling of an id make no difference. Properties that were `added` since rows have
 * fingerprints are left out where they are null: a retry that comes after an upgrade is the same request.
 */
export const fingerprintOf = (
  operation: string,
  values: object,
  added: ReadonlySet<string>,
): Uint8Array => {
  const sent = Object.entries(values)
    .filter(([name, value]) => value !== null || !added.has(name))
    .sort(([a], [b]) => a < b ? -1 : 1)
  return createHash("sha256").update(JSON.stringify([operation, ...sent])).digest()
}

/** What an insertion sends besides the row's values. */
export const insertionFields = { id: StoredUuid, fingerprint: nullable(Schema.Uint8Array) }

/** A kind of request that creates a row; `Values` is what it sends. */
interface Create<Values extends Schema.Top, Row, E> {
  /** The method of the repository, as traces call it. */
  readonly name: string
  /** What its rows are read from, and how. */
  readonly table: { readonly name: Statement.Fragment; readonly columns: Statement.Fragment }
  readonly row: Schema.ConstraintDecoder<Row>
  /** Tells requests of different kinds with the same values apart. */
  readonly operation: string
  readonly values: Values
  /** Properties of the values that `idempotency_fingerprint` is older than. */
  readonly added: ReadonlySet<string>
  /** Makes the id of a row without a key. */
  readonly newId: () => string
  /** What requests that need the same lock have in common. */
  readonly lock: (values: Values["Type"]) => string
  /** Whether these values cannot be stored together with others. */
  readonly alone?: (values: Values["Type"]) => boolean
  /**
   * Stores a row by a statement of its own: with its key as id and with its fingerprint, or with an id
   * that was made for it and none. Gives none when a row has this id.
   */
  readonly insert: (
    values: Values["Type"],
    id: string,
    fingerprint: Uint8Array | null,
  ) => Effect.Effect<Option.Option<Row>, E | DatabaseUnavailable>
  /** Stores rows of requests without keys together, and gives those that it has stored. */
  readonly insertMany: (
    rows: ReadonlyArray<readonly [id: string, values: Values["Type"]]>,
  ) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError | Schema.SchemaError>
}

const decodeSame = Schema.decodeUnknownEffect(Schema.Struct({ same: Schema.Boolean }))

/**
 * Makes a function that creates rows. Where a row with the key exists already, it answers with that row
 * as it is now if the same request created it.
 *
 * The existing row is looked for after a violated constraint too: twenty copies of one request at
 * once can meet on another unique index than the primary key.
 */
export const makeCreate = Effect.fnUntraced(function* <
  Values extends Schema.Codec<unknown, object>,
  Row,
  E,
>(
  sql: SqlClient.SqlClient,
  create: Create<Values, Row, E>,
) {
  const { name, table, row, operation, values: schema, added, newId, lock, insert } = create
  const alone = create.alone ?? (() => false)
  const decodeRow = Schema.decodeUnknownEffect(row)
  const encode = Schema.encodeEffect(schema)

  // The row and whether the same request created it in one statement: between two, the row could be
  // deleted and the key be another request's.
  const findCreated = Effect.fnUntraced(function* (key: string, fingerprint: Uint8Array) {
    const [found] = yield* sql`
      SELECT
        ${table.columns},
        COALESCE(idempotency_fingerprint = ${fingerprint}, false) AS same
      FROM ${table.name}
      WHERE id = ${key}`.pipe(retryRead(sql))
    if (found === undefined) return Option.none<Row>()
    const { same } = yield* decodeSame(found)
    if (!same) return yield* new IdempotencyKeyReused()
    return Option.some(yield* decodeRow(found))
  }, interpretErrors())

  const createWithKey = Effect.fnUntraced(function* (
    values: Values["Type"],
    key: string,
  ): Effect.fn.Return<Row, E | IdempotencyKeyReused | DatabaseUnavailable> {
    const fingerprint = fingerprintOf(operation, yield* Effect.orDie(encode(values)), added)
    while (true) {
      const inserted = yield* Effect.catch(
        insert(values, key, fingerprint),
        (error) =>
          Effect.flatMap(
            findCreated(key, fingerprint),
            (created) => Option.isSome(created) ? Effect.succeed(created) : Effect.fail(error),
          ),
      )
      if (Option.isSome(inserted)) return inserted.value
      const created = yield* findCreated(key, fingerprint)
      if (Option.isSome(created)) return created.value
      // Deleted between the two statements: the key is free again.
    }
  })

  const createAlone = (values: Values["Type"]) =>
    Effect.map(insert(values, newId(), null), Option.getOrThrow)

  const createInGroup = yield* makeGroupCommit<Values["Type"], Row, E>(sql, {
    name,
    single: createAlone,
    batch: create.insertMany,
    row,
    keyedBy: "id",
    key: newId,
    lock,
  })
  const waitFor = yield* makeWaitFor(sql)

  return (
    values: Values["Type"],
    key: string | undefined,
  ): Effect.Effect<Row, E | IdempotencyKeyReused | DatabaseUnavailable> => {
    if (key !== undefined) return waitFor(lock(values), createWithKey(values, key))
    return alone(values) ? waitFor(lock(values), createAlone(values)) : createInGroup(values)
  }
})
