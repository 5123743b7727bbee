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
import { interpretErrors } from "../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../database/LockWaits.ts"
import { spanned } from "../database/spanned.ts"
import type { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../domain/IdempotencyKey.ts"
import { orNull } from "../domain/orNull.ts"
import type { Page, Place } from "../domain/Page.ts"
import {
  type ExpiryNotInFuture,
  RefreshToken,
  type RefreshTokenExpired,
  RefreshTokenId,
  type RefreshTokenNotFound,
  type RefreshTokenReused,
  type RefreshTokenRevoked,
  type SelfRotation,
  type Successor,
  TokenHash,
  type TokenHashTaken,
} from "../domain/RefreshToken.ts"
import { UserId, UserNotFound } from "../domain/User.ts"
import { type CreateOptions, makeCreateRefreshToken } from "./createRefreshToken.ts"
import { type CleanUpOptions, deleteInBatches } from "./deleteInBatches.ts"
import { makeLookUp } from "./lookUp.ts"
import { pageOf, startAfter } from "./paging.ts"
import { refreshTokenColumns } from "./refreshTokenColumns.ts"
import { retryRead } from "./retryRead.ts"
import { makeRevoke } from "./revoke.ts"
import { makeRotate } from "./rotate.ts"
import { inTransaction } from "./transaction.ts"

/** Which tokens of a user: the valid ones, the others, or all. */
export interface ListOptions {
  readonly active?: boolean | undefined
  readonly limit: number
  readonly after?: Place | undefined
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
    | UserNotFound
    | ExpiryNotInFuture
    | TokenHashTaken
    | IdempotencyKeyReused
    | DatabaseUnavailable
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
    | ExpiryNotInFuture
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

      const findByTokenHash = yield* makeLookUp(sql, {
        name: "RefreshTokenRepository.findByTokenHash",
        key: TokenHash,
        type: "text",
        row: RefreshToken,
        select: sql`SELECT ${columns} FROM public.refresh_tokens WHERE token_hash`,
        keyOf: (token: RefreshToken) => token.tokenHash,
      })

      const lockUser = SqlSchema.findOneOption({
        Request: Schema.Struct({ id: UserId }),
        Result: Schema.Struct({ id: UserId }),
        execute: bounded(({ id, lockTimeout }) =>
          sql`
            SELECT id
            FROM public.users
            WHERE id = ${id} AND ${lockTimeoutIs(sql, lockTimeout)}
            FOR UPDATE`
        ),
      })

      // statement_timestamp(), because now() is the time before the wait for the user's row.
      const revokeAll = SqlSchema.findAll({
        Request: Schema.Struct({ userId: UserId, except: orNull(TokenHash) }),
        Result: Schema.Struct({ id: RefreshTokenId }),
        execute: ({ userId, except }) =>
          sql`
            UPDATE public.refresh_tokens
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
          active: orNull(Schema.Boolean),
          createdAt: Schema.String,
          id: Schema.String,
          limit: Schema.Number,
        }),
        Result: RefreshToken,
        execute: ({ userId, active, createdAt, id, limit }) =>
          sql`
            SELECT ${columns}
            FROM public.refresh_tokens
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
        execute: (id) => sql`SELECT id FROM public.users WHERE id = ${id}`,
      })

      const waitFor = yield* makeWaitFor(sql)

      const revokeAllForUser = Effect.fnUntraced(
        function* (userId: UserId, options?: { readonly exceptTokenHash?: TokenHash | undefined }) {
          const user = yield* lockUser({ id: userId })
          if (Option.isNone(user)) return yield* new UserNotFound()
          const except = options?.exceptTokenHash ?? null
          return (yield* revokeAll({ userId, except })).length
        },
        inTransaction(sql),
        interpretErrors(),
        (revocation, userId) => waitFor(userId, revocation),
      )

      const deleteExpired = (olderThanDays: number = 7, options: CleanUpOptions = {}) =>
        deleteInBatches(sql, {
          table: "refresh_tokens",
          column: "expires_at",
          olderThanDays,
          ...options,
        }).pipe(interpretErrors())

      const listForUser = Effect.fnUntraced(function* (
        userId: UserId,
        { active, limit, after }: ListOptions,
      ) {
        const rows = yield* findPage({
          userId,
          active: active ?? null,
          ...startAfter(after),
          limit: limit + 1,
        }).pipe(retryRead(sql), interpretErrors())
        if (rows.length === 0) {
          const user = yield* userExists(userId).pipe(retryRead(sql), interpretErrors())
          if (Option.isNone(user)) return yield* new UserNotFound()
        }
        return pageOf(rows, limit)
      })

      return RefreshTokenRepository.of({
        getByTokenHash: spanned("RefreshTokenRepository.getByTokenHash", findByTokenHash),
        getValidByTokenHash: spanned(
          "RefreshTokenRepository.getValidByTokenHash",
          (tokenHash) =>
            Effect.map(findByTokenHash(tokenHash), Option.filter(({ wasValid }) => wasValid)),
        ),
        create: yield* makeCreateRefreshToken(sql),
        revoke: yield* makeRevoke(sql),
        rotate: yield* makeRotate(sql),
        revokeAllForUser: spanned("RefreshTokenRepository.revokeAllForUser", revokeAllForUser),
        deleteExpired: spanned("RefreshTokenRepository.deleteExpired", deleteExpired),
        listForUser: spanned("RefreshTokenRepository.listForUser", listForUser),
      })
    }),
  )
}
