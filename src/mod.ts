/**
 * What another program may import: the models, their ids and errors, the repositories and their
 * layers, how to connect, and the HTTP API as a value. No HTTP server comes with it.
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Database, DatabaseUrl, Email, UserRepository } from "@latchkey/latchkey"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const DatabaseLayer = Layer.unwrap(Effect.gen(function* () {
 *   const url = Redacted.make("postgres://latchkey:secret@localhost/latchkey")
 *   const { parameters } = yield* DatabaseUrl.parse(url)
 *   return Database.layer({ connection: parameters })
 * }))
 *
 * const program = Effect.gen(function* () {
 *   const users = yield* UserRepository
 *   return yield* users.getByEmail(Email.make("ada@example.com"))
 * }).pipe(
 *   Effect.provide(UserRepository.layer.pipe(Layer.provide(DatabaseLayer))),
 *   Effect.provide(NodeServices.layer),
 * )
 * ```
 *
 * The database must have been migrated (`deno task migrate`); the repositories never do that.
 *
 * @module
 */

/** Values that models are made of; each is a schema that parses input, and the type it gives. */
export { Email } from "./domain/Email.ts"
export { IpAddress } from "./domain/IpAddress.ts"
export { Timestamp } from "./domain/Timestamp.ts"

/** User accounts. */
export {
  AuthProvider,
  CredentialsMissing,
  EmailTaken,
  GoogleId,
  GoogleIdTaken,
  OnEmailTaken,
  User,
  UserId,
  UserNotFound,
  Version,
  VersionMismatch,
} from "./domain/User.ts"
export type { UserCount } from "./repositories/users/countUsers.ts"
export type { FromGoogle, GoogleAccount } from "./repositories/users/getOrCreateByGoogleId.ts"
export type { Lookup } from "./repositories/users/lookUpUsers.ts"
export type { RevokeSessions } from "./repositories/users/updateUser.ts"
export {
  type Precondition,
  type UpdateOptions,
  UserRepository,
} from "./repositories/users/UserRepository.ts"

/** Refresh tokens. */
export {
  ExpiryNotInFuture,
  NewRefreshToken,
  OnReuse,
  OnSessionLimit,
  RefreshToken,
  RefreshTokenExpired,
  RefreshTokenId,
  RefreshTokenNotFound,
  RefreshTokenReused,
  RefreshTokenRevoked,
  SelfRotation,
  Successor,
  TokenHash,
  TokenHashTaken,
} from "./domain/RefreshToken.ts"
export type { ListOptions } from "./repositories/refreshTokens/listRefreshTokens.ts"
export { RefreshTokenRepository } from "./repositories/refreshTokens/RefreshTokenRepository.ts"
export type { RotateOptions } from "./repositories/refreshTokens/rotateRefreshToken.ts"
export { RotationDefaults } from "./repositories/refreshTokens/RotationDefaults.ts"
export type { TokenWithUser } from "./repositories/refreshTokens/tokenWithUser.ts"

/** Sessions: what a created refresh token begins and its rotations continue. */
export {
  RevocationReason,
  Session,
  SessionId,
  SessionLimitReached,
  SessionNotFound,
  type SessionState,
  UserInactive,
} from "./domain/Session.ts"

/** Attempts to sign in. */
export {
  AttemptCompleted,
  AttemptToBegin,
  type ExceededLimit,
  FailureLimit,
  LoginAttempt,
  LoginAttemptId,
  LoginAttemptNotFound,
  TooManyFailures,
} from "./domain/LoginAttempt.ts"
export type { BegunAttempt } from "./repositories/loginAttempts/beginLoginAttempt.ts"
export { type Origin } from "./repositories/loginAttempts/countLoginFailures.ts"
export type { CompletedAttempt } from "./repositories/signIn/completeLoginAttempt.ts"
export type { Completion } from "./repositories/signIn/completeWhereFree.ts"
export { LoginAttemptRepository } from "./repositories/loginAttempts/LoginAttemptRepository.ts"

/** What any of the repositories may meet or take. */
export { DatabaseUnavailable } from "./domain/DatabaseUnavailable.ts"
export { IdempotencyKeyReused } from "./domain/IdempotencyKey.ts"
export { type Page, Place } from "./domain/Page.ts"

/** Connecting: `Database.layer` is what the repositories' layers want. */
export type { ConnectionParameters } from "./database/ConnectionParameters.ts"
export * as Database from "./database/Database.ts"
export { DatabaseUnreachable } from "./database/DatabaseUnreachable.ts"
export * as DatabaseUrl from "./database/url/DatabaseUrl.ts"
export { DatabaseUrlInvalid } from "./database/url/DatabaseUrlInvalid.ts"

/** The HTTP API, for `HttpApiClient` and the like. */
export { Api } from "./api/Api.ts"
