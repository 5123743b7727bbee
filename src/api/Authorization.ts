/**
 * Bearer keys and the scopes that endpoints ask for.
 */
import { Context } from "effect"
import { HttpApiMiddleware, HttpApiSecurity, OpenApi } from "effect/http-api"
import type { Scope } from "../domain/ApiKey.ts"
import { Forbidden, Unauthorized } from "./problems.ts"

/** Annotates an endpoint with the scope that its callers need. */
export class RequiredScope extends Context.Service<RequiredScope, Scope>()(
  "latchkey/api/RequiredScope",
) {}

/** Lets a request through that carries a known key with the endpoint's scope. */
export class Authorization extends HttpApiMiddleware.Service<Authorization>()(
  "latchkey/api/Authorization",
  {
    error: [Unauthorized, Forbidden],
    security: {
      bearer: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotate(OpenApi.Description, "A key of API_KEYS"),
      ),
    },
  },
) {}
