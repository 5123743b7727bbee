/**
 * Creating a row at most once: the `Idempotency-Key` of the request becomes the row's id, and a
 * fingerprint of the request stays beside the row. A row holds its key for as long as it lives.
 */
import { createHash } from "node:crypto"
import { Effect, Option, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { interpretErrors } from "../database/Constraints.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import { orNull } from "../domain/orNull.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import { retryRead } from "./retryRead.ts"

/**
 * SHA-256 of what a request sent. Taken over the encoded values, so that order, an absent or a null
 * property and the spelling of an id make no difference.
 */
const fingerprintOf = (operation: string, values: object): Uint8Array =>
  createHash("sha256")
    .update(
      JSON.stringify([operation, ...Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1)]),
    )
    .digest()

/** What an insertion sends besides the row's values: the key or an id that was made for it. */
export const insertionFields = { id: StoredUuid, fingerprint: orNull(Schema.Uint8Array) }

/**
 * An insertion that leaves the row alone which has the key as its id, for which `make` gets a clause.
 * Without a key there is nothing in it: an id that was made for a row is no other's.
 */
export const insertion = <
  Input extends { readonly fingerprint: Uint8Array | null },
  A,
  E,
  R,
>(
  sql: SqlClient.SqlClient,
  make: (unlessKeyExists: Statement.Fragment) => (input: Input) => Effect.Effect<A, E, R>,
) => {
  const insert = make(sql.literal(""))
  const insertUnlessKeyExists = make(sql.literal("ON CONFLICT (id) DO NOTHING"))
  return (input: Input) => input.fingerprint === null ? insert(input) : insertUnlessKeyExists(input)
}

/** A request that creates a row; `Values` is what it sent. */
interface CreatingRequest<Key extends string, Values extends Schema.Top, Row, E> {
  readonly table: "users" | "refresh_tokens" | "login_attempts"
  /** The table's columns as `row` names them. */
  readonly columns: Statement.Fragment
  readonly row: Schema.ConstraintDecoder<Row>
  /** Tells requests of different kinds with the same values apart. */
  readonly operation: string
  readonly key: Key | undefined
  readonly schema: Values
  readonly values: Values["Type"]
  /** Gives none when a row has the key as its id. Stores the fingerprint; both are null without a key. */
  readonly insert: (
    key: Key | null,
    fingerprint: Uint8Array | null,
  ) => Effect.Effect<Option.Option<Row>, E>
}

const decodeSame = Schema.decodeUnknownEffect(Schema.Struct({ same: Schema.Boolean }))

const createWithKey = Effect.fnUntraced(function* <
  Key extends string,
  Values extends Schema.Codec<unknown, object>,
  Row,
  E,
>(
  sql: SqlClient.SqlClient,
  key: Key,
  request: CreatingRequest<Key, Values, Row, E>,
): Effect.fn.Return<Row, E | IdempotencyKeyReused | DatabaseUnavailable> {
  const values = yield* Effect.orDie(Schema.encodeEffect(request.schema)(request.values))
  const fingerprint = fingerprintOf(request.operation, values)
  const decodeRow = Schema.decodeUnknownEffect(request.row)

  // The row and whether the same request created it in one statement: between two, the row could be
  // deleted and the key be another request's.
  const findCreated = Effect.gen(function* () {
    const [found] = yield* sql`
      SELECT
        ${request.columns},
        COALESCE(idempotency_fingerprint = ${fingerprint}, false) AS same
      FROM ${sql(`public.${request.table}`)}
      WHERE id = ${key}`.pipe(retryRead(sql))
    if (found === undefined) return Option.none<Row>()
    const { same } = yield* decodeSame(found)
    if (!same) return yield* new IdempotencyKeyReused()
    return Option.some(yield* decodeRow(found))
  }).pipe(interpretErrors())

  while (true) {
    const inserted = yield* request.insert(key, fingerprint).pipe(
      Effect.catch((error) =>
        Effect.flatMap(
          findCreated,
          (created) => Option.isSome(created) ? Effect.succeed(created) : Effect.fail(error),
        )
      ),
    )
    if (Option.isSome(inserted)) return inserted.value
    const created = yield* findCreated
    if (Option.isSome(created)) return created.value
    // Deleted between the two statements: the key is free again.
  }
})

/**
 * Runs `insert`; where a row with the key exists already, answers with that row as it is now if the
 * same request created it.
 *
 * The existing row is looked for after a violated constraint too: twenty copies of one request at
 * once can meet on another unique index than the primary key.
 */
export const createOnce = <
  Key extends string,
  Values extends Schema.Codec<unknown, object>,
  Row,
  E,
>(
  sql: SqlClient.SqlClient,
  request: CreatingRequest<Key, Values, Row, E>,
): Effect.Effect<Row, E | IdempotencyKeyReused | DatabaseUnavailable> =>
  request.key === undefined
    ? Effect.map(request.insert(null, null), Option.getOrThrow)
    : createWithKey(sql, request.key, request)
