/**
 * Every error answer of the API, as problem details (RFC 9457).
 */
import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"

const base = "https://latchkey.dev/problems/"

/** One thing that is wrong with a request: where, as a dotted path, and what was expected there. */
export const InputError = Schema.Struct({ path: Schema.String, message: Schema.String })
  .annotate({ identifier: "InputError" })
export type InputError = typeof InputError.Type

export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: `${base}invalid-request`, status: 400, title: "The request is invalid" },
  { errors: Schema.Array(InputError) },
) {}

export class Unauthorized extends HttpApiError.Problem<Unauthorized>()(
  "Unauthorized",
  { type: `${base}unauthorized`, status: 401, title: "A valid API key is required" },
) {}

export class Forbidden extends HttpApiError.Problem<Forbidden>()(
  "Forbidden",
  { type: `${base}forbidden`, status: 403, title: "The API key lacks a scope" },
) {}

export class NotFound extends HttpApiError.Problem<NotFound>()(
  "NotFound",
  { type: `${base}not-found`, status: 404, title: "There is nothing at this path" },
) {}

export class UserNotFound extends HttpApiError.Problem<UserNotFound>()(
  "UserNotFound",
  { type: `${base}user-not-found`, status: 404, title: "There is no such user" },
) {}

/** The same fact about a user that a body names instead of the path. */
export class ReferencedUserNotFound extends HttpApiError.Problem<ReferencedUserNotFound>()(
  "ReferencedUserNotFound",
  { type: `${base}user-not-found`, status: 422, title: "There is no such user" },
) {}

export class RefreshTokenNotFound extends HttpApiError.Problem<RefreshTokenNotFound>()(
  "RefreshTokenNotFound",
  { type: `${base}refresh-token-not-found`, status: 404, title: "There is no such refresh token" },
) {}

export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  { type: `${base}method-not-allowed`, status: 405, title: "The path has no such method" },
) {}

export class RequestTimeout extends HttpApiError.Problem<RequestTimeout>()(
  "RequestTimeout",
  { type: `${base}request-timeout`, status: 408, title: "The request did not arrive in time" },
) {}

export class EmailTaken extends HttpApiError.Problem<EmailTaken>()(
  "EmailTaken",
  { type: `${base}email-taken`, status: 409, title: "Another user has this e-mail address" },
) {}

export class GoogleIdTaken extends HttpApiError.Problem<GoogleIdTaken>()(
  "GoogleIdTaken",
  { type: `${base}google-id-taken`, status: 409, title: "Another user has this Google id" },
) {}

export class TokenHashTaken extends HttpApiError.Problem<TokenHashTaken>()(
  "TokenHashTaken",
  { type: `${base}token-hash-taken`, status: 409, title: "Another refresh token has this hash" },
) {}

export class RefreshTokenReused extends HttpApiError.Problem<RefreshTokenReused>()(
  "RefreshTokenReused",
  { type: `${base}refresh-token-reused`, status: 409, title: "The token was rotated before" },
) {}

export class RefreshTokenRevoked extends HttpApiError.Problem<RefreshTokenRevoked>()(
  "RefreshTokenRevoked",
  { type: `${base}refresh-token-revoked`, status: 409, title: "The token was revoked" },
) {}

export class RefreshTokenExpired extends HttpApiError.Problem<RefreshTokenExpired>()(
  "RefreshTokenExpired",
  { type: `${base}refresh-token-expired`, status: 410, title: "The token has expired" },
) {}

export class PreconditionFailed extends HttpApiError.Problem<PreconditionFailed>()(
  "PreconditionFailed",
  { type: `${base}precondition-failed`, status: 412, title: "The user is in another version" },
) {}

export class BodyTooLarge extends HttpApiError.Problem<BodyTooLarge>()(
  "BodyTooLarge",
  { type: `${base}body-too-large`, status: 413, title: "The body is too large" },
) {}

export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  { type: `${base}unsupported-media-type`, status: 415, title: "The body must be JSON" },
) {}

export class ExpectationFailed extends HttpApiError.Problem<ExpectationFailed>()(
  "ExpectationFailed",
  {
    type: `${base}expectation-failed`,
    status: 417,
    title: "The service does not do what the Expect header asks for",
  },
) {}

export class CredentialsMissing extends HttpApiError.Problem<CredentialsMissing>()(
  "CredentialsMissing",
  {
    type: `${base}credentials-missing`,
    status: 422,
    title: "The provider's credentials are missing",
  },
) {}

export class IdempotencyKeyReused extends HttpApiError.Problem<IdempotencyKeyReused>()(
  "IdempotencyKeyReused",
  {
    type: `${base}idempotency-key-reused`,
    status: 422,
    title: "The key belongs to another request",
  },
) {}

export class HeadersTooLarge extends HttpApiError.Problem<HeadersTooLarge>()(
  "HeadersTooLarge",
  { type: `${base}headers-too-large`, status: 431, title: "The headers are too large" },
) {}

export class InternalError extends HttpApiError.Problem<InternalError>()(
  "InternalError",
  { type: `${base}internal-error`, status: 500, title: "The service made a mistake" },
) {}

export class DatabaseUnavailable extends HttpApiError.Problem<DatabaseUnavailable>()(
  "DatabaseUnavailable",
  { type: `${base}database-unavailable`, status: 503, title: "The database is unavailable" },
) {}

export class Overloaded extends HttpApiError.Problem<Overloaded>()(
  "Overloaded",
  { type: `${base}overloaded`, status: 503, title: "The service is overloaded" },
) {}

export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  { type: `${base}not-ready`, status: 503, title: "The service is not ready" },
) {}

/** What can be wrong with any body before it is looked at. */
export const BodyProblems = [BodyTooLarge, UnsupportedMediaType] as const
