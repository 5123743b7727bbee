/**
 * The rotation of refresh tokens (RFC 9700, 4.14.2).
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, type SqlError, SqlSchema } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../../database/LockWaits.ts"
import { prepared } from "../../database/prepared.ts"
import { traced } from "../../database/traced.ts"
import { retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import {
  ExpiryNotInFuture,
  RefreshToken,
  RefreshTokenExpired,
  RefreshTokenNotFound,
  RefreshTokenReused,
  RefreshTokenRevoked,
  SelfRotation,
  Successor,
  TokenHash,
} from "../../domain/RefreshToken.ts"
import { Timestamp } from "../../domain/Timestamp.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { insertionFields, makeCreate } from "../makeCreate.ts"
import { uuidV7 } from "../uuidV7.ts"
import type { CreateOptions } from "./createRefreshToken.ts"
import { type RefreshTokensTable, refreshTokensTable } from "./refreshTokensTable.ts"

/** Why a rotation replaced nothing, where that is no refusal. */
type Obstacle =
  /** The same rotation was done before: an answer, though not by a row that this call created. */
  | { readonly _tag: "Rotated"; readonly successor: RefreshToken }
  /** A row has the successor's id, which is the idempotency key. */
  | { readonly _tag: "IdExists" }
  /** Nothing any more, which only a race can bring about. */
  | { readonly _tag: "None" }

type Refusal = RefreshTokenReused | RefreshTokenRevoked | RefreshTokenExpired

/** Why a token that is not valid cannot be rotated: its own state, the strongest reason first. */
const refuse = (token: RefreshToken): Refusal =>
  token.successorId !== null
    ? new RefreshTokenReused()
    : token.revokedAt !== null
    ? new RefreshTokenRevoked()
    : new RefreshTokenExpired()

const Rotation = Schema.Struct({ tokenHash: TokenHash, successor: Successor })
type Rotation = typeof Rotation.Type

const Replacement = Schema.Struct({
  ...Successor.fields,
  ...insertionFields,
  replaces: TokenHash,
})

/** The statements that replace a token. */
const makeReplace = (sql: SqlClient.SqlClient, refreshTokens: RefreshTokensTable) => {
  const ofSpent = {
    id: "spent.successor_id",
    userId: "spent.user_id",
    createdAt: "clock_timestamp()",
  }
  const row = refreshTokens.parameters(ofSpent)
  const rows = refreshTokens.records(ofSpent)

  // One statement, so that of many rotations of one token at once exactly one finds it unrevoked:
  // the others wait for its row and then see it revoked. The successor's id is known beforehand for
  // the same reason. The user's row is held before the token's, and so a condition of finding that;
  // see docs/architecture.md, "Order of locks".
  const replace = SqlSchema.findOneOption({
    Request: Replacement,
    Result: RefreshToken,
    execute: bounded(prepared<typeof Replacement.Encoded & Bound>(sql)`
      WITH spent AS (
        UPDATE public.refresh_tokens
        SET revoked_at = clock_timestamp(), successor_id = ${"id"}::uuid
        WHERE
          token_hash = ${"replaces"}
          AND revoked_at IS NULL
          AND expires_at > now()
          AND ${"expiresAt"}::timestamptz > clock_timestamp()
          AND EXISTS (SELECT FROM public.users WHERE users.id = user_id FOR KEY SHARE)
          AND ${lockTimeoutIs(sql, "lockTimeout")}
        RETURNING user_id, successor_id
      )
      INSERT INTO public.refresh_tokens (${row.names})
      SELECT ${row.values}
      FROM spent
      RETURNING ${refreshTokens.columns}`),
  })

  // Of two rotations of one token in a group, one finds its row; the other is left out.
  const replaceWhereFree = SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(
        Schema.Struct({ ...Successor.fields, id: StoredUuid, replaces: TokenHash }),
      ),
    ),
    Result: Schema.Unknown,
    execute: (json) =>
      sql`
        WITH input AS (
          SELECT * FROM ${refreshTokens.recordset(json, { replaces: "text" })}
        ), free AS (
          SELECT refresh_tokens.id AS token_id, input.id AS successor_id
          FROM input
          JOIN public.refresh_tokens ON refresh_tokens.token_hash = input.replaces
          JOIN public.users ON users.id = refresh_tokens.user_id
          WHERE
            refresh_tokens.revoked_at IS NULL
            AND refresh_tokens.expires_at > now()
            AND input."expiresAt" > clock_timestamp()
            AND ${waitsBriefly(sql)}
          FOR KEY SHARE OF users SKIP LOCKED
          FOR NO KEY UPDATE OF refresh_tokens SKIP LOCKED
        ), spent AS (
          UPDATE public.refresh_tokens
          SET revoked_at = clock_timestamp(), successor_id = free.successor_id
          FROM free
          WHERE refresh_tokens.id = free.token_id
          RETURNING refresh_tokens.user_id, refresh_tokens.successor_id
        )
        INSERT INTO public.refresh_tokens (${rows.names})
        SELECT ${rows.values}
        FROM spent
        JOIN input ON input.id = spent.successor_id
        RETURNING ${refreshTokens.columns}`,
  })

  return { replace, replaceWhereFree }
}

/** Makes a function that tells why a rotation replaced nothing. */
const makeExplain = (sql: SqlClient.SqlClient, refreshTokens: RefreshTokensTable) => {
  // All in one statement: a deletion of the user between two would pass for a successor that was
  // cleaned up, and so for reuse, or for a refusal of what this request had created.
  const findInvolved = SqlSchema.findAll({
    Request: Schema.Struct({ tokenHash: TokenHash, id: StoredUuid }),
    Result: RefreshToken,
    execute: ({ tokenHash, id }) =>
      sql`
        SELECT ${refreshTokens.columns}
        FROM public.refresh_tokens
        WHERE
          token_hash = ${tokenHash}
          OR id = (SELECT successor_id FROM public.refresh_tokens WHERE token_hash = ${tokenHash})
          OR id = ${id}::uuid`,
  })

  const findFuture = SqlSchema.findOneOption({
    Request: Timestamp,
    Result: Schema.Struct({}),
    execute: (time) => sql`SELECT WHERE ${time}::timestamptz > clock_timestamp()`,
  })

  return Effect.fnUntraced(function* (
    { tokenHash, successor }: Rotation,
    id: string,
  ): Effect.fn.Return<
    Obstacle,
    Refusal | RefreshTokenNotFound | ExpiryNotInFuture | SqlError.SqlError | Schema.SchemaError
  > {
    const found = yield* findInvolved({ tokenHash, id }).pipe(retryRead(sql))
    if (found.some((row) => row.id === id)) return { _tag: "IdExists" }
    const token = found.find((row) => row.tokenHash === tokenHash)
    if (token === undefined) return yield* new RefreshTokenNotFound()
    if (token.wasValid) {
      const future = yield* findFuture(successor.expiresAt).pipe(retryRead(sql))
      return Option.isSome(future) ? { _tag: "None" } : yield* new ExpiryNotInFuture()
    }
    const rotatedTo = found.find((row) => row.id === token.successorId)
    if (rotatedTo?.tokenHash !== successor.tokenHash) return yield* refuse(token)
    return rotatedTo.wasValid ? { _tag: "Rotated", successor: rotatedTo } : yield* refuse(rotatedTo)
  }, interpretErrors())
}

export const makeRotateRefreshToken = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const refreshTokens = refreshTokensTable(sql)
  const { replace, replaceWhereFree } = makeReplace(sql, refreshTokens)
  const explain = makeExplain(sql, refreshTokens)

  const replaceOrExplain = Effect.fnUntraced(function* (
    rotation: Rotation,
    id: string,
    fingerprint: Uint8Array | null,
  ) {
    const { tokenHash: replaces, successor } = rotation
    while (true) {
      const replaced = yield* replace({ ...successor, id, fingerprint, replaces }).pipe(
        withSavepointOrRetry(sql),
        interpretErrors({
          refresh_tokens_token_hash_key: refreshTokenConstraints.refresh_tokens_token_hash_key,
          refresh_tokens_pkey: () => new IdempotencyKeyReused(),
        }),
      )
      if (Option.isSome(replaced)) return replaced
      const obstacle = yield* explain(rotation, id)
      if (obstacle._tag === "Rotated") return Option.some(obstacle.successor)
      if (obstacle._tag === "IdExists") return Option.none<RefreshToken>()
    }
  })

  const replaceToken = yield* makeCreate(sql, {
    name: "RefreshTokenRepository.rotate",
    table: refreshTokens,
    row: RefreshToken,
    operation: "rotate",
    values: Rotation,
    newId: uuidV7,
    lock: ({ tokenHash }) => tokenHash,
    insert: replaceOrExplain,
    insertMany: (calls) =>
      replaceWhereFree(
        calls.map(([id, { tokenHash, successor }]) => ({ ...successor, id, replaces: tokenHash })),
      ),
  })

  const rotate = Effect.fnUntraced(function* (
    tokenHash: TokenHash,
    successor: Successor,
    { idempotencyKey }: CreateOptions = {},
  ) {
    if (successor.tokenHash === tokenHash) return yield* new SelfRotation()
    return yield* replaceToken({ tokenHash, successor }, idempotencyKey)
  })

  return traced("RefreshTokenRepository.rotate", rotate)
})
