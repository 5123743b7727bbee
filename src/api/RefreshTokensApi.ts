/**
 * Routes of refresh tokens.
 */
import { Schema, SchemaTransformation } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { RefreshToken, RefreshTokenId, Successor, TokenHash } from "../domain/RefreshToken.ts"
import { UserId } from "../domain/User.ts"
import { Admission } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import { idempotencyKey, Location, NoProperties, pageOf, PageQuery } from "./requests.ts"

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
      ],
    }).annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.get("getByTokenHash", "/v1/refresh-tokens/:tokenHash", {
      params: ByHash,
      success: TokenJson,
      error: Problem.RefreshTokenNotFound,
    }).annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.get("getValidByTokenHash", "/v1/refresh-tokens/:tokenHash/valid", {
      params: ByHash,
      success: TokenJson,
      error: Problem.RefreshTokenNotFound,
    }).annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revoke", "/v1/refresh-tokens/:tokenHash/revoke", {
      params: ByHash,
      payload: NoProperties,
      success: TokenJson,
      error: Problem.RefreshTokenNotFound,
    }).annotate(RequiredScope, "tokens:write"),
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
      ],
    }).annotate(RequiredScope, "tokens:write"),
    HttpApiEndpoint.get("listForUser", "/v1/users/:id/refresh-tokens", {
      params: { id: UserId },
      query: { active: Schema.optionalKey(BooleanFromWord), ...PageQuery },
      success: pageOf(TokenJson),
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revokeAllForUser", "/v1/users/:id/refresh-tokens/revoke", {
      params: { id: UserId },
      payload: Schema.Struct({ exceptTokenHash: Schema.optionalKey(Schema.NullOr(TokenHash)) }),
      success: Schema.Struct({ revoked: Schema.Int }),
      error: Problem.UserNotFound,
    }).annotate(RequiredScope, "tokens:write"),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Refresh tokens", description: "Refresh tokens" })) {}
