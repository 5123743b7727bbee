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
  idempotencyKey,
  Location,
  NoProperties,
  pageOf,
  PageQuery,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"

/** `isValid` is the database's verdict at the moment of the answer. */
const TokenJson = Schema.Struct({ ...RefreshToken.json.fields, isValid: Schema.Boolean })
  .annotate({ identifier: "RefreshToken" })

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

const ByHash = { tokenHash: TokenHash }

export class RefreshTokensApi extends HttpApiGroup.make("refreshTokens")
  .add(
    HttpApiEndpoint.post("create", "/v1/refresh-tokens", {
      headers: idempotencyKey(RefreshTokenId),
      payload: RefreshToken.insert.annotate({ identifier: "NewRefreshToken" }),
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
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.get("getValidByTokenHash", "/v1/refresh-tokens/:tokenHash/valid", {
      params: ByHash,
      success: TokenJson,
      error: Problem.RefreshTokenNotFound,
    })
      .annotate(OpenApi.Summary, "Get a refresh token unless it is revoked or expired")
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revoke", "/v1/refresh-tokens/:tokenHash/revoke", {
      params: ByHash,
      payload: NoProperties,
      success: TokenJson,
      error: [Problem.RefreshTokenNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Revoke a refresh token, once and for all")
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({})))
      .annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.post("rotate", "/v1/refresh-tokens/:tokenHash/rotate", {
      params: ByHash,
      headers: idempotencyKey(RefreshTokenId),
      payload: Successor.annotate({ identifier: "Successor" }),
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
      .annotate(OpenApi.Summary, "Replace a refresh token by a new one")
      .annotate(
        OpenApi.Transform,
        withBodyExample({ tokenHash: "9b3d7e21", expiresAt: "2099-02-28T12:00:00Z" }),
      )
      .annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.get("listForUser", "/v1/users/:id/refresh-tokens", {
      params: { id: UserId },
      query: { active: Schema.optionalKey(BooleanFromWord), ...PageQuery },
      success: pageOf(TokenJson),
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "List a user's refresh tokens, the oldest first")
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revokeAllForUser", "/v1/users/:id/refresh-tokens/revoke", {
      params: { id: UserId },
      payload: Schema.Struct({ exceptTokenHash: Schema.optionalKey(Schema.NullOr(TokenHash)) }),
      success: Schema.Struct({ revoked: Schema.Int }),
      error: [Problem.UserNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Revoke a user's live refresh tokens")
      .annotate(
        OpenApi.Transform,
        flow(withOptionalBody, withBodyExample({ exceptTokenHash: "1f8a5c0e" })),
      )
      .annotate(RequiredScope, "tokens:write"),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Refresh tokens", description: "Refresh tokens" })) {}
