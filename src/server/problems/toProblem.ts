import { Effect } from "effect"
import * as Problem from "../../api/problems.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import type { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import type {
  AttemptCompleted,
  LoginAttemptNotFound,
  TooManyFailures,
} from "../../domain/LoginAttempt.ts"
import type {
  ExpiryNotInFuture,
  RefreshTokenExpired,
  RefreshTokenNotFound,
  RefreshTokenReused,
  RefreshTokenRevoked,
  SelfRotation,
  TokenHashTaken,
} from "../../domain/RefreshToken.ts"
import type {
  SessionLimitReached,
  SessionNotFound,
  SessionState,
  UserInactive,
} from "../../domain/Session.ts"
import type {
  CredentialsMissing,
  EmailTaken,
  GoogleIdTaken,
  UserNotFound,
  VersionMismatch,
} from "../../domain/User.ts"

const sessionOf = ({ userId, sessionId, sessionIsLive }: SessionState): SessionState => ({
  userId,
  sessionId,
  sessionIsLive,
})

/**
 * The problem of each error of the domain. `detail` is the error's message where that says more than
 * the problem's title.
 */
const problems = {
  AttemptCompleted: (_: AttemptCompleted) => new Problem.AttemptCompleted({}),
  CredentialsMissing: ({ message }: CredentialsMissing) =>
    new Problem.CredentialsMissing({ detail: message }),
  DatabaseUnavailable: (_: DatabaseUnavailable) => new Problem.DatabaseUnavailable({}),
  EmailTaken: (_: EmailTaken) => new Problem.EmailTaken({}),
  ExpiryNotInFuture: ({ property, message }: ExpiryNotInFuture) =>
    new Problem.InvalidRequest({ errors: [{ path: property, message }] }),
  GoogleIdTaken: (_: GoogleIdTaken) => new Problem.GoogleIdTaken({}),
  IdempotencyKeyReused: ({ message }: IdempotencyKeyReused) =>
    new Problem.IdempotencyKeyReused({ detail: message }),
  LoginAttemptNotFound: (_: LoginAttemptNotFound) => new Problem.LoginAttemptNotFound({}),
  RefreshTokenExpired: (error: RefreshTokenExpired) =>
    new Problem.RefreshTokenExpired(sessionOf(error)),
  RefreshTokenNotFound: (_: RefreshTokenNotFound) => new Problem.RefreshTokenNotFound({}),
  RefreshTokenReused: (error: RefreshTokenReused) =>
    new Problem.RefreshTokenReused({ ...sessionOf(error), detail: error.message }),
  RefreshTokenRevoked: (error: RefreshTokenRevoked) =>
    new Problem.RefreshTokenRevoked(sessionOf(error)),
  SelfRotation: ({ message }: SelfRotation) =>
    new Problem.InvalidRequest({ errors: [{ path: "tokenHash", message }] }),
  SessionLimitReached: (_: SessionLimitReached) => new Problem.SessionLimit({}),
  SessionNotFound: (_: SessionNotFound) => new Problem.SessionNotFound({}),
  TokenHashTaken: ({ session }: TokenHashTaken) => new Problem.TokenHashTaken({ ...session }),
  TooManyFailures: ({ limits }: TooManyFailures) => new Problem.TooManyFailures({ limits }),
  UserInactive: ({ session }: UserInactive) => new Problem.UserInactive({ ...session }),
  UserNotFound: (_: UserNotFound) => new Problem.UserNotFound({}),
  VersionMismatch: ({ message }: VersionMismatch) =>
    new Problem.PreconditionFailed({ detail: message }),
}
type Problems = typeof problems

/** The errors of the domain, each known by its tag. */
type DomainError = Parameters<Problems[keyof Problems]>[0]

/** Fails with the problem of each error. */
export const toProblem = <A, E extends DomainError, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, ReturnType<Problems[E["_tag"]]>, R> =>
  Effect.mapError(effect, (error) => {
    // The table has one function a tag, which TypeScript cannot follow through a generic index.
    const problem = (problems[error._tag] as (error: DomainError) => unknown)(error)
    return problem as ReturnType<Problems[E["_tag"]]>
  })
