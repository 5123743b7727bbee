import { Effect } from "effect"
import * as Problem from "../api/problems.ts"

/** Which problem tells a client of which error: the only place where errors meet status codes. */
const problems = {
  CredentialsMissing: (detail: string) => new Problem.CredentialsMissing({ detail }),
  DatabaseUnavailable: (detail: string) => new Problem.DatabaseUnavailable({ detail }),
  EmailTaken: (detail: string) => new Problem.EmailTaken({ detail }),
  ExpiryNotInFuture: (message: string) =>
    new Problem.InvalidRequest({ errors: [{ path: "expiresAt", message }] }),
  GoogleIdTaken: (detail: string) => new Problem.GoogleIdTaken({ detail }),
  IdempotencyKeyReused: (detail: string) => new Problem.IdempotencyKeyReused({ detail }),
  RefreshTokenExpired: (detail: string) => new Problem.RefreshTokenExpired({ detail }),
  RefreshTokenNotFound: (detail: string) => new Problem.RefreshTokenNotFound({ detail }),
  RefreshTokenReused: (detail: string) => new Problem.RefreshTokenReused({ detail }),
  RefreshTokenRevoked: (detail: string) => new Problem.RefreshTokenRevoked({ detail }),
  SelfRotation: (message: string) =>
    new Problem.InvalidRequest({ errors: [{ path: "tokenHash", message }] }),
  TokenHashTaken: (detail: string) => new Problem.TokenHashTaken({ detail }),
  UserNotFound: (detail: string) => new Problem.UserNotFound({ detail }),
  VersionMismatch: (detail: string) => new Problem.PreconditionFailed({ detail }),
}
type Problems = typeof problems

/** An error of the domain, known by its tag. */
interface Tagged {
  readonly _tag: keyof Problems
  readonly message: string
}

/** Fails with the problem of each error. */
export const asProblem = <A, E extends Tagged, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, ReturnType<Problems[E["_tag"]]>, R> =>
  Effect.mapError(effect, (error) => {
    const problem = problems[error._tag](error.message)
    // The table has one function a tag, which TypeScript cannot follow through a generic index.
    return problem as ReturnType<Problems[E["_tag"]]>
  })
