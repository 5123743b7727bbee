/**
 * Routes of login attempts.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Email } from "../domain/Email.ts"
import { IpAddress } from "../domain/IpAddress.ts"
import { LoginAttempt, LoginAttemptId } from "../domain/LoginAttempt.ts"
import { UserId } from "../domain/User.ts"
import { Admission } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import { Count, idempotencyKey, Minutes, withBodyExample } from "./requests.ts"

const AttemptJson = LoginAttempt.json.annotate({
  identifier: "LoginAttempt",
  description: "An attempt to sign in",
})

const FailureCount = Schema.Struct({ count: Count })
  .annotate({ identifier: "FailureCount", description: "Failed attempts in the window" })

export class LoginAttemptsApi extends HttpApiGroup.make("loginAttempts")
  .add(
    HttpApiEndpoint.post("create", "/v1/login-attempts", {
      headers: idempotencyKey(LoginAttemptId),
      payload: LoginAttempt.insert.annotate({
        identifier: "NewLoginAttempt",
        description: "A login attempt to record",
      }),
      success: AttemptJson.pipe(HttpApiSchema.status(201)),
      error: [
        Problem.ReferencedUserNotFound,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Record a login attempt")
      .annotate(
        OpenApi.Description,
        "The attempt stays when its user is deleted, without the user's id.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({
          email: "ada@example.com",
          ipAddress: "192.0.2.1",
          userAgent: "Mozilla/5.0",
          success: false,
          failureReason: "wrong password",
        }),
      )
      .annotate(RequiredScope, "attempts:write"),
    HttpApiEndpoint.get("countByUser", "/v1/users/:id/login-attempts/recent-failures", {
      params: { id: UserId },
      query: { minutes: Minutes },
      success: FailureCount,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Count a user's recent failures")
      .annotate(
        OpenApi.Description,
        "Counts the failed attempts that named the user's id, by the database's clock.",
      )
      .annotate(RequiredScope, "attempts:read"),
    HttpApiEndpoint.get("countByOrigin", "/v1/login-attempts/recent-failures", {
      query: {
        email: Schema.optionalKey(Email),
        ipAddress: Schema.optionalKey(IpAddress),
        minutes: Minutes,
      },
      success: FailureCount,
    })
      .annotate(OpenApi.Summary, "Count recent failures by e-mail address, IP address or both")
      .annotate(
        OpenApi.Description,
        "Counts failed attempts by the database's clock, whether or not there is an account. At " +
          "least one of `email` and `ipAddress` is required; both together narrow.",
      )
      .annotate(RequiredScope, "attempts:read"),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({
      title: "Login attempts",
      description: "A record of login attempts, and counts of failed ones",
    }),
  ) {}
