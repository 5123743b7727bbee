/**
 * Every error response of the API, as problem details (RFC 9457).
 */
import { Schema, Struct } from "effect"
import { HttpApiError } from "effect/http-api"
import { ExceededLimit } from "../domain/LoginAttempt.ts"
import { sessionState } from "../domain/Session.ts"

/** What the `type` of every problem begins with. */
export const problemBase = "https://latchkey.dev/problems/"

/** One thing that is wrong with a request: where, as a dotted path, and what was expected there. */
export const InputError = Schema.Struct({ path: Schema.String, message: Schema.String })
  .annotate({ identifier: "InputError", description: "One thing that is wrong with a request" })
export type InputError = typeof InputError.Type

/** What problems that creations and rotations share say of a rotation. */
const ofRotation = Struct.map(sessionState, Schema.optionalKey)

export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: `${problemBase}invalid-request`, status: 400, title: "Invalid request" },
  { errors: Schema.Array(InputError) },
) {}

export class Unauthorized extends HttpApiError.Problem<Unauthorized>()(
  "Unauthorized",
  { type: `${problemBase}unauthorized`, status: 401, title: "Missing or unknown API key" },
) {}

export class Forbidden extends HttpApiError.Problem<Forbidden>()(
  "Forbidden",
  { type: `${problemBase}forbidden`, status: 403, title: "API key without the required scope" },
) {}

export class NotFound extends HttpApiError.Problem<NotFound>()(
  "NotFound",
  { type: `${problemBase}not-found`, status: 404, title: "Not found" },
) {}

export class UserNotFound extends HttpApiError.Problem<UserNotFound>()(
  "UserNotFound",
  { type: `${problemBase}user-not-found`, status: 404, title: "User not found" },
) {}

/** The same fact about a user that a body names instead of the path. */
export class ReferencedUserNotFound extends HttpApiError.Problem<ReferencedUserNotFound>()(
  "ReferencedUserNotFound",
  { type: `${problemBase}user-not-found`, status: 422, title: "User not found" },
) {}

export class RefreshTokenNotFound extends HttpApiError.Problem<RefreshTokenNotFound>()(
  "RefreshTokenNotFound",
  { type: `${problemBase}refresh-token-not-found`, status: 404, title: "Refresh token not found" },
) {}

export class SessionNotFound extends HttpApiError.Problem<SessionNotFound>()(
  "SessionNotFound",
  { type: `${problemBase}session-not-found`, status: 404, title: "Session not found" },
) {}

export class LoginAttemptNotFound extends HttpApiError.Problem<LoginAttemptNotFound>()(
  "LoginAttemptNotFound",
  { type: `${problemBase}login-attempt-not-found`, status: 404, title: "Login attempt not found" },
) {}

export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  { type: `${problemBase}method-not-allowed`, status: 405, title: "Method not allowed" },
) {}

export class RequestTimeout extends HttpApiError.Problem<RequestTimeout>()(
  "RequestTimeout",
  { type: `${problemBase}request-timeout`, status: 408, title: "Request timeout" },
) {}

export class EmailTaken extends HttpApiError.Problem<EmailTaken>()(
  "EmailTaken",
  { type: `${problemBase}email-taken`, status: 409, title: "E-mail address taken" },
) {}

export class GoogleIdTaken extends HttpApiError.Problem<GoogleIdTaken>()(
  "GoogleIdTaken",
  { type: `${problemBase}google-id-taken`, status: 409, title: "Google id taken" },
) {}

export class TokenHashTaken extends HttpApiError.Problem<TokenHashTaken>()(
  "TokenHashTaken",
  { type: `${problemBase}token-hash-taken`, status: 409, title: "Token hash taken" },
  ofRotation,
) {}

export class UserInactive extends HttpApiError.Problem<UserInactive>()(
  "UserInactive",
  { type: `${problemBase}user-inactive`, status: 409, title: "User inactive" },
  ofRotation,
) {}

export class SessionLimit extends HttpApiError.Problem<SessionLimit>()(
  "SessionLimit",
  { type: `${problemBase}session-limit`, status: 409, title: "Session limit reached" },
) {}

export class RefreshTokenReused extends HttpApiError.Problem<RefreshTokenReused>()(
  "RefreshTokenReused",
  { type: `${problemBase}refresh-token-reused`, status: 409, title: "Refresh token reused" },
  sessionState,
) {}

export class RefreshTokenRevoked extends HttpApiError.Problem<RefreshTokenRevoked>()(
  "RefreshTokenRevoked",
  { type: `${problemBase}refresh-token-revoked`, status: 409, title: "Refresh token revoked" },
  sessionState,
) {}

export class RefreshTokenExpired extends HttpApiError.Problem<RefreshTokenExpired>()(
  "RefreshTokenExpired",
  { type: `${problemBase}refresh-token-expired`, status: 410, title: "Refresh token expired" },
  sessionState,
) {}

export class AttemptCompleted extends HttpApiError.Problem<AttemptCompleted>()(
  "AttemptCompleted",
  { type: `${problemBase}attempt-completed`, status: 409, title: "Login attempt completed before" },
) {}

export class PreconditionFailed extends HttpApiError.Problem<PreconditionFailed>()(
  "PreconditionFailed",
  {
    type: `${problemBase}precondition-failed`,
    status: 412,
    title: "Precondition failed: the user has changed",
  },
) {}

export class BodyTooLarge extends HttpApiError.Problem<BodyTooLarge>()(
  "BodyTooLarge",
  { type: `${problemBase}body-too-large`, status: 413, title: "Request body too large" },
) {}

export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  {
    type: `${problemBase}unsupported-media-type`,
    status: 415,
    title: "Unsupported media type or encoding: the body must be plain JSON",
  },
) {}

export class ExpectationFailed extends HttpApiError.Problem<ExpectationFailed>()(
  "ExpectationFailed",
  { type: `${problemBase}expectation-failed`, status: 417, title: "Unsupported Expect header" },
) {}

export class CredentialsMissing extends HttpApiError.Problem<CredentialsMissing>()(
  "CredentialsMissing",
  {
    type: `${problemBase}credentials-missing`,
    status: 422,
    title: "Missing credentials of the provider",
  },
) {}

export class IdempotencyKeyReused extends HttpApiError.Problem<IdempotencyKeyReused>()(
  "IdempotencyKeyReused",
  { type: `${problemBase}idempotency-key-reused`, status: 422, title: "Idempotency key reused" },
) {}

export class TooManyFailures extends HttpApiError.Problem<TooManyFailures>()(
  "TooManyFailures",
  {
    type: `${problemBase}too-many-failures`,
    status: 429,
    title: "Too many failed login attempts",
  },
  { limits: Schema.Array(ExceededLimit) },
) {}

export class HeadersTooLarge extends HttpApiError.Problem<HeadersTooLarge>()(
  "HeadersTooLarge",
  { type: `${problemBase}headers-too-large`, status: 431, title: "Request headers too large" },
) {}

export class InternalError extends HttpApiError.Problem<InternalError>()(
  "InternalError",
  { type: `${problemBase}internal-error`, status: 500, title: "Internal server error" },
) {}

export class DatabaseUnavailable extends HttpApiError.Problem<DatabaseUnavailable>()(
  "DatabaseUnavailable",
  { type: `${problemBase}database-unavailable`, status: 503, title: "Database unavailable" },
) {}

export class Overloaded extends HttpApiError.Problem<Overloaded>()(
  "Overloaded",
  { type: `${problemBase}overloaded`, status: 503, title: "Service overloaded" },
) {}

export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  { type: `${problemBase}not-ready`, status: 503, title: "Service not ready" },
) {}

/** What can go wrong with any request, also before it reaches its endpoint. */
export const AnyRequestProblems = [
  InvalidRequest,
  RequestTimeout,
  ExpectationFailed,
  HeadersTooLarge,
  InternalError,
] as const

/** What can be wrong with any body before it is decoded. */
export const BodyProblems = [BodyTooLarge, UnsupportedMediaType] as const
