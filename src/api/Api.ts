/**
 * The HTTP API as a value: what the server implements, clients are derived from, and the OpenAPI
 * document is made of.
 */
import { HttpApi, OpenApi } from "effect/http-api"
import { HealthApi } from "./HealthApi.ts"
import { LoginAttemptsApi } from "./LoginAttemptsApi.ts"
import { MaintenanceApi } from "./MaintenanceApi.ts"
import { RefreshTokensApi } from "./RefreshTokensApi.ts"
import { UsersApi } from "./UsersApi.ts"

export class Api extends HttpApi.make("latchkey")
  .add(UsersApi, RefreshTokensApi, LoginAttemptsApi, MaintenanceApi, HealthApi)
  // A misspelt optional property or parameter would otherwise be taken for an absent one.
  .annotate(HttpApi.ParseOptions, { onExcessProperty: "error", errors: "all" })
  .annotate(HttpApi.HeadersParseOptions, {})
  .annotate(HttpApi.SuccessParseOptions, {})
  .annotate(HttpApi.ErrorParseOptions, {})
  .annotateMerge(OpenApi.annotations({
    title: "latchkey",
    version: "1",
    description: "User accounts, refresh tokens and login attempts of an authentication service",
  })) {}
