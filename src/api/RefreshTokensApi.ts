/**
 * Routes of refresh tokens.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import {
  GraceSeconds,
  NewRefreshToken,
  OnReuse,
  RefreshToken,
  RefreshTokenId,
  Successor,
  TokenHash,
} from "../domain/RefreshToken.ts"
import { RevocationReason, SessionId } from "../domain/Session.ts"
import { UserId } from "../domain/User.ts"
import { Admission } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import {
  BooleanFromWord,
  idempotencyKey,
  IncludeUser,
  Location,
  optional,
  pageOf,
  PageQuery,
  Revoked,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"
import { Revocation } from "./SessionsApi.ts"
import { UserJson } from "./UsersApi.ts"

/** `isValid` is as of the moment when the row was read, by the database's clock. */
export const TokenJson = Schema.Struct({ ...RefreshToken.json.fields, isValid: Schema.Boolean })
  .annotate({ identifier: "RefreshToken", description: "A refresh token" })

/** What creates a token, by itself or with the completion of a sign-in. */
export const NewTokenJson = NewRefreshToken.annotate({ identifier: "NewRefreshToken" })

const withUser = Schema.Struct({ ...TokenJson.fields, user: Schema.optionalKey(UserJson) })
  .annotate({
    identifier: "RefreshTokenWithUser",
    description: "A refresh token, with its user if asked for",
  })

const CreatedToken = HttpApiSchema.WithHeaders(
  TokenJson.pipe(HttpApiSchema.status(201)),
  Location,
)

const RotatedToken = HttpApiSchema.WithHeaders(
  withUser.pipe(HttpApiSchema.status(201)),
  Location,
)

const TokensToRevoke = Schema.Struct({
  exceptTokenHash: optional(TokenHash),
  exceptSessionId: optional(SessionId),
  reason: optional(RevocationReason),
}).annotate({ identifier: "TokensToRevoke", description: "Which tokens to revoke" })

const Rotation = Schema.Struct({
  ...Successor.fields,
  graceSeconds: optional(GraceSeconds),
  onReuse: optional(OnReuse),
}).annotate({
  identifier: "Successor",
  description: "The refresh token that replaces another one",
})

const ByHash = { tokenHash: TokenHash }

export class RefreshTokensApi extends HttpApiGroup.make("refreshTokens")
  .add(
    HttpApiEndpoint.post("create", "/v1/refresh-tokens", {
      headers: idempotencyKey(RefreshTokenId),
      payload: NewTokenJson,
      success: CreatedToken,
      error: [
        Problem.TokenHashTaken,
        Problem.UserInactive,
        Problem.SessionLimit,
        Problem.PreconditionFailed,
        Problem.ReferencedUserNotFound,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Create a refresh token, which begins a session")
      .annotate(
        OpenApi.Description,
        "Stores the hash of a token that the caller made; never the token itself. The user must be " +
          "active, and with `userVersion` unchanged since it was read, so that a login that began " +
          "with an old password ends in no session. No token outlives `sessionExpiresAt`. With " +
          "`maxSessions` the user has so many live sessions at most, however many begin at once.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({
          userId: "6f1c1a52-7f3b-4d0e-9c65-0a4d1f2b7c11",
          tokenHash: "1f8a5c0e",
          expiresAt: "2099-01-31T12:00:00Z",
          userAgent: "Mozilla/5.0",
          ipAddress: "192.0.2.1",
        }),
      )
      .annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.get("getByTokenHash", "/v1/refresh-tokens/:tokenHash", {
      params: ByHash,
      success: TokenJson,
      error: Problem.RefreshTokenNotFound,
    })
      .annotate(OpenApi.Summary, "Get a refresh token, whatever its state")
      .annotate(
        OpenApi.Description,
        "Revoked and expired tokens are found until they are deleted by a clean-up.",
      )
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.get("getValidByTokenHash", "/v1/refresh-tokens/:tokenHash/valid", {
      params: ByHash,
      query: IncludeUser,
      success: withUser,
      error: Problem.RefreshTokenNotFound,
    })
      .annotate(OpenApi.Summary, "Get a valid refresh token")
      .annotate(
        OpenApi.Description,
        "A token that was revoked, rotated or has expired is 404, like one that does not exist. " +
          "`include=user` adds its user, read in the same statement; the key needs the scope " +
          "`users:read` as well.",
      )
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revoke", "/v1/refresh-tokens/:tokenHash/revoke", {
      params: ByHash,
      payload: Revocation,
      success: TokenJson,
      error: [Problem.RefreshTokenNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Revoke a refresh token, which ends its session")
      .annotate(
        OpenApi.Description,
        "After the response no token of the session is valid, also none that a rotation running " +
          "beside it could have added. It returns the token that was asked for. Idempotent: revoking " +
          "again changes nothing and returns the first `revokedAt`.",
      )
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({ reason: "logout" })))
      .annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.post("rotate", "/v1/refresh-tokens/:tokenHash/rotate", {
      params: ByHash,
      headers: idempotencyKey(RefreshTokenId),
      query: IncludeUser,
      payload: Rotation,
      success: RotatedToken,
      error: [
        Problem.RefreshTokenNotFound,
        Problem.RefreshTokenReused,
        Problem.RefreshTokenRevoked,
        Problem.RefreshTokenExpired,
        Problem.UserInactive,
        Problem.TokenHashTaken,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Rotate a refresh token")
      .annotate(
        OpenApi.Description,
        "Revokes the token and creates its successor for the same user and session, in one " +
          "transaction; of several rotations at once exactly one succeeds. The same rotation again " +
          "returns 201 while the successor is valid: derive the successor from the old token " +
          "(HMAC-SHA-256 with a key of the service), so that a retry, or another tab, repeats the same " +
          "pair. Where successors are random, `graceSeconds` lets a token that was rotated at most so " +
          "long ago be rotated once more, while none of its successors was rotated. Any other " +
          "rotation of a rotated token is `refresh-token-reused`: it may have been stolen, and its " +
          "session should end (RFC 9700, 4.14.2), as it does in the same transaction with `onReuse` " +
          "`revoke-session`. `refresh-token-revoked` is a token that was revoked and not rotated. " +
          "`sessionIsLive` of these problems tells whether the session was live before the call: a " +
          "replay on one that had ended is no news. User agent and address stay the old token's " +
          "where they are left out. `include=user` adds the user, read in the same statement; the " +
          "key needs the scope `users:read` as well. Rotating a token onto itself is 400.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({ tokenHash: "9b3d7e21", expiresAt: "2099-02-28T12:00:00Z" }),
      )
      .annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.get("listForUser", "/v1/users/:id/refresh-tokens", {
      params: { id: UserId },
      query: { active: Schema.optionalKey(BooleanFromWord), ...PageQuery },
      success: pageOf("RefreshTokenPage", TokenJson),
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "List a user's refresh tokens, the oldest first")
      .annotate(
        OpenApi.Description,
        "In pages. Tokens that exist throughout are listed exactly once.",
      )
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revokeAllForUser", "/v1/users/:id/refresh-tokens/revoke", {
      params: { id: UserId },
      payload: TokensToRevoke,
      success: Revoked,
      error: [Problem.UserNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Revoke all valid refresh tokens of a user")
      .annotate(
        OpenApi.Description,
        "After the response no token of the user is valid that existed before, or that a create " +
          "or rotate running beside it could have added, but those that are excepted.",
      )
      .annotate(
        OpenApi.Transform,
        flow(withOptionalBody, withBodyExample({ exceptTokenHash: "1f8a5c0e" })),
      )
      .annotate(RequiredScope, "tokens:write"),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({
    title: "Refresh tokens",
    description: "Refresh tokens, of which only hashes are stored",
  })) {}
