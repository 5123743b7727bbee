/**
 * The rotation of refresh tokens (RFC 9700, 4.14.2).
 */
import { Data, Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../database/Constraints.ts"
import { type Bound, bounded, lockTimeoutIs, waitsBriefly } from "../database/LockWaits.ts"
import { prepared } from "../database/prepared.ts"
import { spanned } from "../database/spanned.ts"
import { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import { orNull } from "../domain/orNull.ts"
import {
  ExpiryNotInFuture,
  RefreshToken,
  RefreshTokenExpired,
  RefreshTokenId,
  RefreshTokenNotFound,
  RefreshTokenReused,
  RefreshTokenRevoked,
  SelfRotation,
  Successor,
  TokenHash,
} from "../domain/RefreshToken.ts"
import { Timestamp } from "../domain/Timestamp.ts"
import { StoredUuid } from "../domain/Uuid.ts"
import type { CreateOptions } from "./createRefreshToken.ts"
import { makeGroupCommit } from "./groupCommit.ts"
import { createOnce, insertionFields } from "./Idempotency.ts"
import { newId } from "./newId.ts"
import { refreshTokenColumns } from "./refreshTokenColumns.ts"
import { retryRead } from "./retryRead.ts"
import { withSavepoint } from "./savepoint.ts"

/** The same rotation was done before: an answer, but not by a row that this call created. */
class AlreadyRotated extends Data.TaggedError("AlreadyRotated")<{
  readonly successor: RefreshToken
}> {}

/** Why a token that is not valid cannot be rotated: its own state, the strongest reason first. */
const refuse = (token: RefreshToken) =>
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

export const makeRotate = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const columns = sql.literal(refreshTokenColumns)

  // One statement, so that of many rotations of one token at once exactly one finds it unrevoked:
  // the others wait for its row and then see it revoked. The successor's id is known beforehand for
  // the same reason. The user's row is held before the token's, and so a condition of finding that;
  // see RefreshTokenRepository.
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
      INSERT INTO public.refresh_tokens (
        id, user_id, token_hash, expires_at, created_at, user_agent, ip_address,
        idempotency_fingerprint
      )
      SELECT
        spent.successor_id,
        spent.user_id,
        ${"tokenHash"},
        ${"expiresAt"}::timestamptz,
        clock_timestamp(),
        ${"userAgent"},
        ${"ipAddress"}::inet,
        ${"fingerprint"}::bytea
      FROM spent
      RETURNING ${columns}`),
  })

  // Of two rotations of one token in a group, one finds its row; the other is left out.
  const replaceWhereFree = SqlSchema.findAll({
    Request: Schema.fromJsonString(
      Schema.Array(
        Schema.Struct({ ...Successor.fields, id: StoredUuid, replaces: TokenHash }),
      ),
    ),
    Result: Schema.Unknown,
    execute: (successors) =>
      sql`
        WITH input AS (
          SELECT *
          FROM json_to_recordset(${successors}::json) AS input (
            "id" uuid,
            "replaces" text,
            "tokenHash" text,
            "expiresAt" timestamptz,
            "userAgent" text,
            "ipAddress" inet
          )
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
        INSERT INTO public.refresh_tokens (
          id, user_id, token_hash, expires_at, created_at, user_agent, ip_address
        )
        SELECT
          input.id,
          spent.user_id,
          input."tokenHash",
          input."expiresAt",
          clock_timestamp(),
          input."userAgent",
          input."ipAddress"
        FROM spent
        JOIN input ON input.id = spent.successor_id
        RETURNING ${columns}`,
  })

  // All in one statement: a deletion of the user between two would pass for a successor that was
  // cleaned up, and so for reuse, or for a refusal of what this request had created.
  const findInvolved = SqlSchema.findAll({
    Request: Schema.Struct({ tokenHash: TokenHash, key: orNull(RefreshTokenId) }),
    Result: RefreshToken,
    execute: ({ tokenHash, key }) =>
      sql`
        SELECT ${columns}
        FROM public.refresh_tokens
        WHERE
          token_hash = ${tokenHash}
          OR id = (SELECT successor_id FROM public.refresh_tokens WHERE token_hash = ${tokenHash})
          OR id = ${key}::uuid`,
  })

  const findFuture = SqlSchema.findOneOption({
    Request: Timestamp,
    Result: Schema.Struct({}),
    execute: (time) => sql`SELECT WHERE ${time}::timestamptz > clock_timestamp()`,
  })

  /**
   * Why a rotation replaced nothing. Succeeds with whether a row has the key as its id; without one
   * nothing is in its way any more, which only a race can bring about.
   */
  const explain = Effect.fnUntraced(function* (
    tokenHash: TokenHash,
    successor: Successor,
    key: RefreshTokenId | null,
  ) {
    const found = yield* findInvolved({ tokenHash, key }).pipe(retryRead(sql))
    if (found.some((row) => row.id === key)) return true
    const token = found.find((row) => row.tokenHash === tokenHash)
    if (token === undefined) return yield* new RefreshTokenNotFound()
    if (token.wasValid) {
      const future = yield* findFuture(successor.expiresAt).pipe(retryRead(sql))
      return Option.isSome(future) ? false : yield* new ExpiryNotInFuture()
    }
    const rotatedTo = found.find((row) => row.id === token.successorId)
    if (rotatedTo?.tokenHash !== successor.tokenHash) return yield* refuse(token)
    return yield* rotatedTo.wasValid
      ? new AlreadyRotated({ successor: rotatedTo })
      : refuse(rotatedTo)
  }, interpretErrors())

  const replaceOrExplain = Effect.fnUntraced(function* (
    tokenHash: TokenHash,
    successor: Successor,
    key: RefreshTokenId | null,
    fingerprint: Uint8Array | null,
  ) {
    while (true) {
      const replaced = yield* replace({
        ...successor,
        id: key ?? newId(),
        fingerprint,
        replaces: tokenHash,
      }).pipe(
        withSavepoint(sql),
        interpretErrors({
          refresh_tokens_token_hash_key: refreshTokenConstraints.refresh_tokens_token_hash_key,
          refresh_tokens_pkey: () => new IdempotencyKeyReused(),
        }),
      )
      if (Option.isSome(replaced)) return replaced
      if (yield* explain(tokenHash, successor, key)) return Option.none<RefreshToken>()
    }
  })

  const rotateAlone = ({ tokenHash, successor }: Rotation, idempotencyKey?: RefreshTokenId) =>
    createOnce(sql, {
      table: "refresh_tokens",
      columns,
      row: RefreshToken,
      operation: "rotate",
      key: idempotencyKey,
      schema: Rotation,
      values: { tokenHash, successor },
      insert: (key, fingerprint) => replaceOrExplain(tokenHash, successor, key, fingerprint),
    }).pipe(Effect.catchTag("AlreadyRotated", ({ successor }) => Effect.succeed(successor)))

  const rotateToken = yield* makeGroupCommit(sql, {
    name: "RefreshTokenRepository.rotate",
    alone: rotateAlone,
    together: (calls) =>
      replaceWhereFree(calls.map(([id, { tokenHash, successor }]) => ({
        ...successor,
        id,
        replaces: tokenHash,
      }))),
    row: RefreshToken,
    keyedBy: "id",
    key: newId,
    lock: ({ tokenHash }) => tokenHash,
  })

  const rotate = Effect.fnUntraced(function* (
    tokenHash: TokenHash,
    successor: Successor,
    { idempotencyKey }: CreateOptions = {},
  ) {
    if (successor.tokenHash === tokenHash) return yield* new SelfRotation()
    return yield* rotateToken({ tokenHash, successor }, idempotencyKey)
  })

  return spanned("RefreshTokenRepository.rotate", rotate)
})
