/**
 * Routes that clean up.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Admission, LongRunning } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import { BodyProblems } from "./problems.ts"
import { olderThanDays, withBodyExample, withOptionalBody } from "./requests.ts"

const Deleted = Schema.Struct({ deleted: Schema.Int })

export class MaintenanceApi extends HttpApiGroup.make("maintenance")
  .add(
    HttpApiEndpoint.post("deleteExpiredTokens", "/v1/maintenance/delete-expired-tokens", {
      payload: olderThanDays(7),
      success: Deleted,
      error: BodyProblems,
    })
      .annotate(OpenApi.Summary, "Delete refresh tokens that expired long ago")
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({ olderThanDays: 7 })))
      .annotate(RequiredScope, "maintenance")
      .annotate(LongRunning, true),
    HttpApiEndpoint.post("deleteOldLoginAttempts", "/v1/maintenance/delete-old-login-attempts", {
      payload: olderThanDays(90),
      success: Deleted,
      error: BodyProblems,
    })
      .annotate(OpenApi.Summary, "Delete login attempts of long ago")
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({ olderThanDays: 90 })))
      .annotate(RequiredScope, "maintenance")
      .annotate(LongRunning, true),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Maintenance", description: "Clean-up" })) {}
