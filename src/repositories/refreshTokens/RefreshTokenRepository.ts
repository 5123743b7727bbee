/**
 * Refresh tokens in PostgreSQL.
 *
 * Statements that make a token take its user's row `FOR KEY SHARE` first; `revokeAllForUser` and the
 * deletion of a user take it `FOR UPDATE` first, and look for tokens only when they hold it. So each
 * token is either seen by them or made after them. Always users before tokens, so that nobody waits
 * in a circle.
 */
import { Context, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { makeBatchedLookup } from "../../database/batching/batchedLookup.ts"
import { interpretErrors } from "../../database/Constraints.ts"
import { traced } from "../../database/traced.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import type { Page } from "../../domain/Page.ts"
import {
  type ExpiryNotInFuture,
  RefreshToken,
  type RefreshTokenExpired,
  type RefreshTokenNotFound,
  type RefreshTokenReused,
  type RefreshTokenRevoked,
  type SelfRotation,
  type Successor,
  TokenHash,
  type TokenHashTaken,
} from "../../domain/RefreshToken.ts"
import type { UserId, UserNotFound } from "../../domain/User.ts"
import { type CleanUpOptions, deleteInBatches } from "../deleteInBatches.ts"
import { type CreateOptions, makeCreateRefreshToken } from "./createRefreshToken.ts"
import { type ListOptions, makeListRefreshTokens } from "./listRefreshTokens.ts"
import { refreshTokensTable } from "./refreshTokensTable.ts"
import { makeRevokeAllRefreshTokens, type RevokeAllOptions } from "./revokeAllRefreshTokens.ts"
import { makeRevokeRefreshToken } from "./revokeRefreshToken.ts"
import { makeRotateRefreshToken } from "./rotateRefreshToken.ts"

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
    options?: RevokeAllOptions,
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
      const { columns } = refreshTokensTable(sql)

      const findByTokenHash = yield* makeBatchedLookup(sql, {
        name: "RefreshTokenRepository.findByTokenHash",
        key: TokenHash,
        type: "text",
        row: RefreshToken,
        select: sql`SELECT ${columns} FROM public.refresh_tokens WHERE token_hash`,
        keyOf: (token: RefreshToken) => token.tokenHash,
      })

      const deleteExpired = (olderThanDays: number = 7, options: CleanUpOptions = {}) =>
        deleteInBatches(sql, {
          table: "refresh_tokens",
          column: "expires_at",
          olderThanDays,
          ...options,
        }).pipe(interpretErrors())

      return RefreshTokenRepository.of({
        getByTokenHash: traced("RefreshTokenRepository.getByTokenHash", findByTokenHash),
        getValidByTokenHash: traced(
          "RefreshTokenRepository.getValidByTokenHash",
          (tokenHash) =>
            Effect.map(findByTokenHash(tokenHash), Option.filter(({ wasValid }) => wasValid)),
        ),
        create: yield* makeCreateRefreshToken(sql),
        revoke: yield* makeRevokeRefreshToken(sql),
        rotate: yield* makeRotateRefreshToken(sql),
        revokeAllForUser: traced(
          "RefreshTokenRepository.revokeAllForUser",
          yield* makeRevokeAllRefreshTokens(sql),
        ),
        deleteExpired: traced("RefreshTokenRepository.deleteExpired", deleteExpired),
        listForUser: traced(
          "RefreshTokenRepository.listForUser",
          makeListRefreshTokens(sql),
        ),
      })
    }),
  )
}
