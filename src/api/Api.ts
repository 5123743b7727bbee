/**
 * The HTTP API as a value: what the server implements, clients are derived from, and the OpenAPI
 * document is made of.
 */
import { HttpApi, OpenApi } from "effect/http-api"
import { documented } from "./document.ts"
import { HealthApi } from "./HealthApi.ts"
import { LoginAttemptsApi } from "./LoginAttemptsApi.ts"
import { MaintenanceApi } from "./MaintenanceApi.ts"
import { MethodNotAllowed, NotFound } from "./problems.ts"
import { RefreshTokensApi } from "./RefreshTokensApi.ts"
import { SessionsApi } from "./SessionsApi.ts"
import { UsersApi } from "./UsersApi.ts"

const description = `
User accounts, refresh tokens and login attempts of an authentication service.

- **Keys**: every route under \`/v1\` needs \`Authorization: Bearer <key>\`. Each operation names the
  scope that the key must have; \`*\` is every scope.
- **Problems**: every error is \`application/problem+json\` (RFC 9457). Decide by its \`type\`, not by
  its words.
- **Changes**: new properties may be added to responses at any time, so ignore those that you do not
  know. Requests with properties or query parameters that are not documented are refused with 400.
- **Paths and queries**: percent-encode path segments and query values (RFC 3986; \`+\` is a plus
  sign). A stored value is found under exactly its percent-encoded form. Token hashes in hexadecimal or
  base64url need no encoding.
- **Times** are RFC 3339 in UTC with milliseconds; requests may use any offset.
- **Requests** have an id, in \`X-Request-Id\`: a client's own is taken. No response may be cached
  (\`Cache-Control: no-store\`); \`If-None-Match\` asks whether a user has changed.
- **Retries**: after a 503 or a lost connection it is unknown whether a write was done. Send it again
  with its \`Idempotency-Key\`.
`.trim()

export class Api extends documented(
  HttpApi.make("latchkey")
    .add(UsersApi, RefreshTokensApi, SessionsApi, LoginAttemptsApi, MaintenanceApi, HealthApi)
    // A misspelt optional property or parameter would otherwise be taken for an absent one.
    .annotate(HttpApi.ParseOptions, { onExcessProperty: "error", errors: "all" })
    .annotate(HttpApi.HeadersParseOptions, {})
    .annotate(HttpApi.SuccessParseOptions, {})
    .annotate(HttpApi.ErrorParseOptions, {})
    .annotate(HttpApi.AdditionalSchemas, [NotFound, MethodNotAllowed])
    .annotateMerge(OpenApi.annotations({
      title: "latchkey",
      version: "1",
      description,
      license: { name: "MIT", url: "https://opensource.org/license/mit" },
      servers: [{ url: "/", description: "This service" }],
    })),
) {}
