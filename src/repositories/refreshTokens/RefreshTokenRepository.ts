/**
 * Refresh tokens and sessions in PostgreSQL.
 *
 * Statements that make a token take its user's row `FOR KEY SHARE` first; what revokes tokens of a user,
 * deactivates or deletes the user takes it `FOR UPDATE` first, and looks for tokens only when it holds
 * it. So each token is either seen or made afterwards. Always users before tokens, so that nobody waits
 * in a circle. `revoke` takes tokens only; see there.
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
  type TokenToCreate,
} from "../../domain/RefreshToken.ts"
import type {
  Session,
  SessionId,
  SessionLimitReached,
  SessionNotFound,
  UserInactive,
} from "../../domain/Session.ts"
import type { UserId, UserNotFound, VersionMismatch } from "../../domain/User.ts"
import { type CleanUpOptions, deleteInBatches } from "../deleteInBatches.ts"
import { type CreateOptions, makeCreateRefreshToken } from "./createRefreshToken.ts"
import { type ListOptions, makeListRefreshTokens } from "./listRefreshTokens.ts"
import { type ListSessionsOptions, makeListSessions } from "./listSessions.ts"
import { makeRevokeAllRefreshTokens, type RevokeAllOptions } from "./revokeAllRefreshTokens.ts"
import { makeRevokeRefreshToken } from "./revokeRefreshToken.ts"
import { makeRevokeSession, type RevokeOptions } from "./revokeSession.ts"
import { makeRotateRefreshToken, type RotateOptions } from "./rotateRefreshToken.ts"
import { tokenAlone, type TokenShape, type TokenWithUser, tokenWithUser } from "./tokenWithUser.ts"

/** What can keep a rotation from being done. */
export type RotationError =
  | SelfRotation
  | RefreshTokenNotFound
  | UserInactive
  | RefreshTokenReused
  | RefreshTokenRevoked
  | RefreshTokenExpired
  | ExpiryNotInFuture
  | TokenHashTaken
  | IdempotencyKeyReused
  | DatabaseUnavailable

export class RefreshTokenRepository extends Context.Service<RefreshTokenRepository, {
  readonly getByTokenHash: (
    tokenHash: TokenHash,
  ) => Effect.Effect<Option.Option<RefreshToken>, DatabaseUnavailable>
  /** None unless the token is neither revoked nor expired, by the database's clock. */
  readonly getValidByTokenHash: (
    tokenHash: TokenHash,
  ) => Effect.Effect<Option.Option<RefreshToken>, DatabaseUnavailable>
  /** The same with the token's user, read in the same statement. */
  readonly getValidWithUser: (
    tokenHash: TokenHash,
  ) => Effect.Effect<Option.Option<TokenWithUser>, DatabaseUnavailable>
  /** Begins a session. */
  readonly create: (
    token: TokenToCreate,
    options?: CreateOptions,
  ) => Effect.Effect<
    RefreshToken,
    | UserNotFound
    | UserInactive
    | VersionMismatch
    | ExpiryNotInFuture
    | TokenHashTaken
    | SessionLimitReached
    | IdempotencyKeyReused
    | DatabaseUnavailable
  >
  /**
   * Ends the token's session: no token of it is live any more. Gives the token that was asked for. Once
   * is as good as twice: the first time and reason stay.
   */
  readonly revoke: (
    tokenHash: TokenHash,
    options?: RevokeOptions,
  ) => Effect.Effect<RefreshToken, RefreshTokenNotFound | DatabaseUnavailable>
  /**
   * Replaces a valid token by a successor for the same user and session, and revokes it. The same pair
   * of hashes again gives the successor while that is valid, since the first answer may have been lost.
   * In grace, a token that was rotated shortly before gets another successor.
   */
  readonly rotate: (
    tokenHash: TokenHash,
    successor: Successor,
    options?: RotateOptions,
  ) => Effect.Effect<RefreshToken, RotationError>
  /** The same, and gives the successor with its user, read in the same statement. */
  readonly rotateWithUser: (
    tokenHash: TokenHash,
    successor: Successor,
    options?: RotateOptions,
  ) => Effect.Effect<TokenWithUser, RotationError>
  /** Revokes the user's valid tokens and tells how many these were. */
  readonly revokeAllForUser: (
    userId: UserId,
    options?: RevokeAllOptions,
  ) => Effect.Effect<number, UserNotFound | DatabaseUnavailable>
  /** Ends a session of the user and tells how many tokens of it were valid. */
  readonly revokeSession: (
    userId: UserId,
    sessionId: SessionId,
    options?: RevokeOptions,
  ) => Effect.Effect<number, UserNotFound | SessionNotFound | DatabaseUnavailable>
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
  /** The user's live sessions, the oldest first. */
  readonly listSessions: (
    userId: UserId,
    options: ListSessionsOptions,
  ) => Effect.Effect<Page<Session>, UserNotFound | DatabaseUnavailable>
}>()("latchkey/repositories/RefreshTokenRepository") {
  static readonly layer = Layer.effect(
    RefreshTokenRepository,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const alone = tokenAlone(sql)
      const withUser = tokenWithUser(sql)

      const makeFind = <Row>(
        name: string,
        { row, name: table, columns }: TokenShape<Row>,
        tokenOf: (row: Row) => RefreshToken,
      ) =>
        makeBatchedLookup(sql, {
          name,
          key: TokenHash,
          type: "text",
          row,
          select: sql`SELECT ${columns} FROM ${table} WHERE token_hash`,
          keyOf: (row: Row) => tokenOf(row).tokenHash,
        })

      const find = yield* makeFind("RefreshTokenRepository.find", alone, (token) => token)
      const findWithUser = yield* makeFind(
        "RefreshTokenRepository.findWithUser",
        withUser,
        ({ token }) => token,
      )

      const deleteExpired = (olderThanDays: number = 7, options: CleanUpOptions = {}) =>
        deleteInBatches(sql, {
          table: "refresh_tokens",
          column: "expires_at",
          olderThanDays,
          ...options,
        }).pipe(interpretErrors())

      return RefreshTokenRepository.of({
        getByTokenHash: traced("RefreshTokenRepository.getByTokenHash", find),
        getValidByTokenHash: traced(
          "RefreshTokenRepository.getValidByTokenHash",
          (tokenHash) => Effect.map(find(tokenHash), Option.filter(({ wasValid }) => wasValid)),
        ),
        getValidWithUser: traced(
          "RefreshTokenRepository.getValidWithUser",
          (tokenHash) =>
            Effect.map(findWithUser(tokenHash), Option.filter(({ token }) => token.wasValid)),
        ),
        create: yield* makeCreateRefreshToken(sql),
        revoke: yield* makeRevokeRefreshToken(sql),
        rotate: yield* makeRotateRefreshToken(sql, "RefreshTokenRepository.rotate", alone),
        rotateWithUser: yield* makeRotateRefreshToken(
          sql,
          "RefreshTokenRepository.rotateWithUser",
          withUser,
        ),
        revokeAllForUser: traced(
          "RefreshTokenRepository.revokeAllForUser",
          yield* makeRevokeAllRefreshTokens(sql),
        ),
        revokeSession: traced(
          "RefreshTokenRepository.revokeSession",
          yield* makeRevokeSession(sql),
        ),
        deleteExpired: traced("RefreshTokenRepository.deleteExpired", deleteExpired),
        listForUser: traced(
          "RefreshTokenRepository.listForUser",
          makeListRefreshTokens(sql),
        ),
        listSessions: traced("RefreshTokenRepository.listSessions", makeListSessions(sql)),
      })
    }),
  )
}
