import { Effect } from "effect"
import * as Problem from "../../api/problems.ts"

/**
 * The problem of each error of the domain. `detail` is the error's message where that says more than
 * the problem's title.
 */
const problems = {
  CredentialsMissing: (detail: string) => new Problem.CredentialsMissing({ detail }),
  DatabaseUnavailable: () => new Problem.DatabaseUnavailable({}),
  EmailTaken: () => new Problem.EmailTaken({}),
  ExpiryNotInFuture: (message: string) =>
    new Problem.InvalidRequest({ errors: [{ path: "expiresAt", message }] }),
  GoogleIdTaken: () => new Problem.GoogleIdTaken({}),
  IdempotencyKeyReused: (detail: string) => new Problem.IdempotencyKeyReused({ detail }),
  RefreshTokenExpired: () => new Problem.RefreshTokenExpired({}),
  RefreshTokenNotFound: () => new Problem.RefreshTokenNotFound({}),
  RefreshTokenReused: (detail: string) => new Problem.RefreshTokenReused({ detail }),
  RefreshTokenRevoked: () => new Problem.RefreshTokenRevoked({}),
  SelfRotation: (message: string) =>
    new Problem.InvalidRequest({ errors: [{ path: "tokenHash", message }] }),
  TokenHashTaken: () => new Problem.TokenHashTaken({}),
  UserNotFound: () => new Problem.UserNotFound({}),
  VersionMismatch: (detail: string) => new Problem.PreconditionFailed({ detail }),
}
type Problems = typeof problems

/** An error of the domain, known by its tag. */
interface Tagged {
  readonly _tag: keyof Problems
  readonly message: string
}

/** Fails with the problem of each error. */
export const toProblem = <A, E extends Tagged, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, ReturnType<Problems[E["_tag"]]>, R> =>
  Effect.mapError(effect, (error) => {
    const problem = problems[error._tag](error.message)
    // The table has one function a tag, which TypeScript cannot follow through a generic index.
    return problem as ReturnType<Problems[E["_tag"]]>
  })
