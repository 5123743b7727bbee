/**
 * Refresh tokens in PostgreSQL.
 *
 * Statements that make a token take its user's row `FOR KEY SHARE` first; `revokeAllForUser` and the
 * deletion of a user take it `FOR UPDATE` first, and look for tokens only when they hold it. So each
 * token is either seen by them or made after them. Always users before tokens, so that nobody waits
 * in a circle.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, refreshTokenConstraints } from "../database/Constraints.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import type { Page, Place } from "../domain/Page.ts"
import {
  RefreshToken,
  type RefreshTokenExpired,
  RefreshTokenId,
  RefreshTokenNotFound,
  type RefreshTokenReused,
  type RefreshTokenRevoked,
  type SelfRotation,
  type Successor,
  TokenHash,
  type TokenHashTaken,
} from "../domain/RefreshToken.ts"
import { UserId, UserNotFound } from "../domain/User.ts"
import { type CleanUpOptions, deleteInBatches } from "./deleteInBatches.ts"
import { createOnce } from "./Idempotency.ts"
import { pageOf, startAfter } from "./paging.ts"
import { refreshTokenColumns } from "./refreshTokenColumns.ts"
import { makeRotate } from "./rotate.ts"
import { withSavepoint } from "./savepoint.ts"
import { inTransaction } from "./transaction.ts"

/** Which tokens of a user: the valid ones, the others, or all. */
export interface ListOptions {
  readonly active?: boolean | undefined
  readonly limit: number
  readonly after?: Place | undefined
}

interface CreateOptions {
  /** Becomes the token's id; the same call again gives the token as it is now. */
  readonly idempotencyKey?: RefreshTokenId | undefined
}

export class RefreshTokenRepository extends Context.Service<RefreshTokenRepository, {
  readonly getByTokenHash: (
    tokenHash: TokenHash,
  ) => Effect.Effect<Option.Option<RefreshToken>, DatabaseUnavailable>
  /** None unless the token is neither revoked nor expired, by the database's clock. */
  readonly getValidByTokenHash: (
    tokenHash: TokenHash,
  ) => Effect.Effect<Option.Option<RefreshToken>, DatabaseUnavailable>
  readonly create: (
    token: typeof RefreshToken.insert.Type,
    options?: CreateOptions,
  ) => Effect.Effect<
    RefreshToken,
    UserNotFound | TokenHashTaken | IdempotencyKeyReused | DatabaseUnavailable
  >
  /** Once is as good as twice: the first time stays. */
  readonly revoke: (
    tokenHash: TokenHash,
  ) => Effect.Effect<RefreshToken, RefreshTokenNotFound | DatabaseUnavailable>
  /**
   * Replaces a valid token by a successor for the same user, and revokes it. The same pair of hashes
   * again gives the successor while that is valid, since the first answer may have been lost.
   */
  readonly rotate: (
    tokenHash: TokenHash,
    successor: Successor,
    options?: CreateOptions,
  ) => Effect.Effect<
    RefreshToken,
    | SelfRotation
    | RefreshTokenNotFound
    | RefreshTokenReused
    | RefreshTokenRevoked
    | RefreshTokenExpired
    | TokenHashTaken
    | IdempotencyKeyReused
    | DatabaseUnavailable
  >
  /** Revokes the user's valid tokens and tells how many these were. */
  readonly revokeAllForUser: (
    userId: UserId,
    options?: { readonly exceptTokenHash?: TokenHash | undefined },
  ) => Effect.Effect<number, UserNotFound | DatabaseUnavailable>
  /** Deletes tokens that expired this many days (of 24 h) ago and tells how many. */
  readonly deleteExpired: (
    olderThanDays?: number,
    options?: CleanUpOptions,
  ) => Effect.Effect<number, DatabaseUnavailable>
  /** The oldest first. */
  readonly listForUser: (
    userId: UserId,
    options: ListOptions,
  ) => Effect.Effect<Page<RefreshToken>, UserNotFound | DatabaseUnavailable>
}>()("latchkey/repositories/RefreshTokenRepository") {
  static readonly layer = Layer.effect(
    RefreshTokenRepository,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const columns = sql.literal(refreshTokenColumns)

      const findByTokenHash = SqlSchema.findOneOption({
        Request: TokenHash,
        Result: RefreshToken,
        execute: (tokenHash) =>
          sql`SELECT ${columns} FROM refresh_tokens WHERE token_hash = ${tokenHash}`,
      })

      const findValid = SqlSchema.findOneOption({
        Request: TokenHash,
        Result: RefreshToken,
        execute: (tokenHash) =>
          sql`
            SELECT ${columns}
            FROM refresh_tokens
            WHERE token_hash = ${tokenHash} AND revoked_at IS NULL AND expires_at > now()`,
      })

      const findById = SqlSchema.findOneOption({
        Request: RefreshTokenId,
        Result: RefreshToken,
        execute: (id) => sql`SELECT ${columns} FROM refresh_tokens WHERE id = ${id}`,
      })

      // The clock is read when the user's row is held: a token that had to wait for a revoke-all is
      // younger than the revocations. A user that does not exist violates the foreign key.
      const insert = SqlSchema.findOneOption({
        Request: Schema.Struct({
          token: RefreshToken.insert,
          key: Schema.NullOr(RefreshTokenId),
          fingerprint: Schema.NullOr(Schema.Uint8Array),
        }),
        Result: RefreshToken,
        execute: ({ token, key, fingerprint }) =>
          sql`
            WITH owner AS (
              SELECT id FROM users WHERE id = ${token.userId} FOR KEY SHARE
            )
            INSERT INTO refresh_tokens (
              id, user_id, token_hash, expires_at, created_at, user_agent, ip_address,
              idempotency_fingerprint
            )
            SELECT
              COALESCE(${key}::uuid, gen_random_uuid()),
              wanted.user_id,
              ${token.tokenHash},
              ${token.expiresAt}::timestamptz,
              clock_timestamp(),
              ${token.userAgent},
              ${token.ipAddress}::inet,
              ${fingerprint}::bytea
            FROM (VALUES (${token.userId}::uuid)) AS wanted (user_id)
            LEFT JOIN owner ON owner.id = wanted.user_id
            ON CONFLICT (id) DO NOTHING
            RETURNING ${columns}`,
      })

      const setRevoked = SqlSchema.findOneOption({
        Request: TokenHash,
        Result: RefreshToken,
        execute: (tokenHash) =>
          sql`
            UPDATE refresh_tokens
            SET revoked_at = COALESCE(revoked_at, now())
            WHERE token_hash = ${tokenHash}
            RETURNING ${columns}`,
      })

      const lockUser = SqlSchema.findOneOption({
        Request: UserId,
        Result: Schema.Struct({ id: UserId }),
        execute: (id) => sql`SELECT id FROM users WHERE id = ${id} FOR UPDATE`,
      })

      // statement_timestamp(), because now() is the time before the wait for the user's row.
      const revokeAll = SqlSchema.findAll({
        Request: Schema.Struct({ userId: UserId, except: Schema.NullOr(TokenHash) }),
        Result: Schema.Struct({ id: RefreshTokenId }),
        execute: ({ userId, except }) =>
          sql`
            UPDATE refresh_tokens
            SET revoked_at = statement_timestamp()
            WHERE
              user_id = ${userId}
              AND revoked_at IS NULL
              AND expires_at > statement_timestamp()
              AND token_hash IS DISTINCT FROM ${except}
            RETURNING id`,
      })

      const findPage = SqlSchema.findAll({
        Request: Schema.Struct({
          userId: UserId,
          active: Schema.NullOr(Schema.Boolean),
          createdAt: Schema.String,
          id: Schema.String,
          limit: Schema.Number,
        }),
        Result: RefreshToken,
        execute: ({ userId, active, createdAt, id, limit }) =>
          sql`
            SELECT ${columns}
            FROM refresh_tokens
            WHERE
              user_id = ${userId}
              AND (created_at, id) > (${createdAt}::timestamptz, ${id}::uuid)
              ${
            active === null
              ? sql.literal("")
              : active
              ? sql.literal("AND revoked_at IS NULL AND expires_at > now()")
              : sql.literal("AND (revoked_at IS NOT NULL OR expires_at <= now())")
          }
            ORDER BY created_at, id
            LIMIT ${limit}`,
      })

      const userExists = SqlSchema.findOneOption({
        Request: UserId,
        Result: Schema.Struct({ id: UserId }),
        execute: (id) => sql`SELECT id FROM users WHERE id = ${id}`,
      })

      const create = Effect.fn("RefreshTokenRepository.create")(function* (
        token: typeof RefreshToken.insert.Type,
        { idempotencyKey }: CreateOptions = {},
      ) {
        const key = idempotencyKey ?? null
        return yield* createOnce(sql, {
          table: "refresh_tokens",
          operation: "create",
          key: idempotencyKey,
          schema: RefreshToken.insert,
          values: token,
          insert: (fingerprint) =>
            insert({ token, key, fingerprint }).pipe(
              withSavepoint(sql),
              interpretErrors(refreshTokenConstraints),
            ),
          find: key === null ? Effect.succeedNone : findById(key).pipe(interpretErrors()),
        })
      })

      const revoke = Effect.fn("RefreshTokenRepository.revoke")(function* (tokenHash: TokenHash) {
        const revoked = yield* setRevoked(tokenHash).pipe(interpretErrors())
        return Option.isSome(revoked) ? revoked.value : yield* new RefreshTokenNotFound()
      })

      const revokeAllForUser = Effect.fn("RefreshTokenRepository.revokeAllForUser")(
        function* (userId: UserId, options?: { readonly exceptTokenHash?: TokenHash | undefined }) {
          const user = yield* lockUser(userId)
          if (Option.isNone(user)) return yield* new UserNotFound()
          const except = options?.exceptTokenHash ?? null
          return (yield* revokeAll({ userId, except })).length
        },
        inTransaction(sql),
        interpretErrors(),
      )

      const deleteExpired = Effect.fn("RefreshTokenRepository.deleteExpired")(
        (olderThanDays: number = 7, options: CleanUpOptions = {}) =>
          deleteInBatches(sql, {
            table: "refresh_tokens",
            column: "expires_at",
            olderThanDays,
            ...options,
          }),
        interpretErrors(),
      )

      const listForUser = Effect.fn("RefreshTokenRepository.listForUser")(function* (
        userId: UserId,
        { active, limit, after }: ListOptions,
      ) {
        const rows = yield* findPage({
          userId,
          active: active ?? null,
          ...startAfter(after),
          limit: limit + 1,
        }).pipe(interpretErrors())
        if (rows.length === 0) {
          const user = yield* userExists(userId).pipe(interpretErrors())
          if (Option.isNone(user)) return yield* new UserNotFound()
        }
        return pageOf(rows, limit)
      })

      return RefreshTokenRepository.of({
        getByTokenHash: Effect.fn("RefreshTokenRepository.getByTokenHash")(
          findByTokenHash,
          interpretErrors(),
        ),
        getValidByTokenHash: Effect.fn("RefreshTokenRepository.getValidByTokenHash")(
          findValid,
          interpretErrors(),
        ),
        create,
        revoke,
        rotate: makeRotate(sql),
        revokeAllForUser,
        deleteExpired,
        listForUser,
      })
    }),
  )
}
