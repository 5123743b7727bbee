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
import { idempotencyKey, Minutes, withBodyExample } from "./requests.ts"

const AttemptJson = LoginAttempt.json.annotate({ identifier: "LoginAttempt" })

const Count = Schema.Struct({ count: Schema.Int })

export class LoginAttemptsApi extends HttpApiGroup.make("loginAttempts")
  .add(
    HttpApiEndpoint.post("create", "/v1/login-attempts", {
      headers: idempotencyKey(LoginAttemptId),
      payload: LoginAttempt.insert.annotate({ identifier: "NewLoginAttempt" }),
      success: AttemptJson.pipe(HttpApiSchema.status(201)),
      error: [
        Problem.ReferencedUserNotFound,
        Problem.IdempotencyKeyReused,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Keep a login attempt")
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
      success: Count,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "Count a user's failures of the last minutes")
      .annotate(RequiredScope, "attempts:read"),
    HttpApiEndpoint.get("countByOrigin", "/v1/login-attempts/recent-failures", {
      query: {
        email: Schema.optionalKey(Email),
        ipAddress: Schema.optionalKey(IpAddress),
        minutes: Minutes,
      },
      success: Count,
    })
      .annotate(
        OpenApi.Summary,
        "Count the failures of the last minutes by e-mail address, IP address or both",
      )
      .annotate(RequiredScope, "attempts:read"),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({ title: "Login attempts", description: "Login attempts and counters" }),
  ) {}
