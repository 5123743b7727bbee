/**
 * Routes that clean up.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Admission, LongRunning } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import { BodyProblems } from "./problems.ts"
import { Count, olderThanDays, withBodyExample, withOptionalBody } from "./requests.ts"

const Deleted = Schema.Struct({ deleted: Count })
  .annotate({ identifier: "Deleted", description: "What was deleted" })

export class MaintenanceApi extends HttpApiGroup.make("maintenance")
  .add(
    HttpApiEndpoint.post("deleteExpiredTokens", "/v1/maintenance/delete-expired-tokens", {
      payload: olderThanDays("ExpiredTokensToDelete", 7),
      success: Deleted,
      error: BodyProblems,
    })
      .annotate(OpenApi.Summary, "Delete refresh tokens that expired long ago")
      .annotate(
        OpenApi.Description,
        "Deletes in batches, each its own transaction, and responds when all are deleted. A token " +
          "that has not expired is never deleted, so that its reuse can still be seen.",
      )
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({ olderThanDays: 7 })))
      .annotate(RequiredScope, "maintenance")
      .annotate(LongRunning, true),
    HttpApiEndpoint.post("deleteOldLoginAttempts", "/v1/maintenance/delete-old-login-attempts", {
      payload: olderThanDays("OldLoginAttemptsToDelete", 90),
      success: Deleted,
      error: BodyProblems,
    })
      .annotate(OpenApi.Summary, "Delete old login attempts")
      .annotate(
        OpenApi.Description,
        "Deletes in batches, each its own transaction, and responds when all are deleted.",
      )
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({ olderThanDays: 90 })))
      .annotate(RequiredScope, "maintenance")
      .annotate(LongRunning, true),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({ title: "Maintenance", description: "Deletion of old rows" }),
  ) {}
