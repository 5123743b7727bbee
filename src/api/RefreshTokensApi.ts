/**
 * Routes of refresh tokens.
 */
import { flow, Schema, SchemaTransformation } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { RefreshToken, RefreshTokenId, Successor, TokenHash } from "../domain/RefreshToken.ts"
import { UserId } from "../domain/User.ts"
import { Admission } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import {
  Count,
  idempotencyKey,
  Location,
  NoProperties,
  pageOf,
  PageQuery,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"

/** `isValid` is as of the moment when the row was read, by the database's clock. */
const TokenJson = Schema.Struct({ ...RefreshToken.json.fields, isValid: Schema.Boolean })
  .annotate({ identifier: "RefreshToken", description: "A refresh token" })

const CreatedToken = HttpApiSchema.WithHeaders(
  TokenJson.pipe(HttpApiSchema.status(201)),
  Location,
)

const BooleanFromWord = Schema.Literals(["true", "false"]).pipe(
  Schema.decodeTo(
    Schema.Boolean,
    SchemaTransformation.transform({
      decode: (word) => word === "true",
      encode: (value) => value ? "true" as const : "false" as const,
    }),
  ),
)

const TokensToRevoke = Schema.Struct({
  exceptTokenHash: Schema.optionalKey(Schema.NullOr(TokenHash)),
}).annotate({ identifier: "TokensToRevoke", description: "Which tokens to revoke" })

const Revoked = Schema.Struct({ revoked: Count })
  .annotate({ identifier: "Revoked", description: "What was revoked" })

const ByHash = { tokenHash: TokenHash }

export class RefreshTokensApi extends HttpApiGroup.make("refreshTokens")
  .add(
    HttpApiEndpoint.post("create", "/v1/refresh-tokens", {
      headers: idempotencyKey(RefreshTokenId),
      payload: RefreshToken.insert.annotate({
        identifier: "NewRefreshToken",
        description: "A refresh token to store",
      }),
      success: CreatedToken,
      error: [
        Problem.TokenHashTaken,
        Problem.ReferencedUserNotFound,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Create a refresh token")
      .annotate(
        OpenApi.Description,
        "Stores the hash of a token that the caller made; never the token itself.",
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
      success: TokenJson,
      error: Problem.RefreshTokenNotFound,
    })
      .annotate(OpenApi.Summary, "Get a valid refresh token")
      .annotate(
        OpenApi.Description,
        "A token that was revoked, rotated or has expired is 404, like one that does not exist.",
      )
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revoke", "/v1/refresh-tokens/:tokenHash/revoke", {
      params: ByHash,
      payload: NoProperties,
      success: TokenJson,
      error: [Problem.RefreshTokenNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Revoke a refresh token")
      .annotate(
        OpenApi.Description,
        "Idempotent: revoking again changes nothing and returns the first `revokedAt`.",
      )
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({})))
      .annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.post("rotate", "/v1/refresh-tokens/:tokenHash/rotate", {
      params: ByHash,
      headers: idempotencyKey(RefreshTokenId),
      payload: Successor.annotate({
        identifier: "Successor",
        description: "The refresh token that replaces another one",
      }),
      success: CreatedToken,
      error: [
        Problem.RefreshTokenNotFound,
        Problem.RefreshTokenReused,
        Problem.RefreshTokenRevoked,
        Problem.RefreshTokenExpired,
        Problem.TokenHashTaken,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Rotate a refresh token")
      .annotate(
        OpenApi.Description,
        "Revokes the token and creates its successor for the same user, in one transaction; of " +
          "several rotations at once exactly one succeeds. The same rotation again returns 201 " +
          "while the successor is valid. Any other rotation of a rotated token is " +
          "`refresh-token-reused`: it may have been stolen, and what it was rotated to should be " +
          "revoked (RFC 9700, 4.14.2), as revoking all tokens of the user does. " +
          "`refresh-token-revoked` is a token that was revoked and not rotated. Rotating a token " +
          "onto itself is 400.",
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
          "or rotate running beside it could have added.",
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
