/**
 * Routes of login attempts.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Email } from "../domain/Email.ts"
import { IpAddress } from "../domain/IpAddress.ts"
import {
  AttemptToBegin,
  FailureCountBy,
  FailureReason,
  LoginAttempt,
  LoginAttemptId,
} from "../domain/LoginAttempt.ts"
import { Timestamp } from "../domain/Timestamp.ts"
import { UserId } from "../domain/User.ts"
import { Admission } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import { NewTokenJson, TokenJson } from "./RefreshTokensApi.ts"
import {
  Count,
  idempotencyKey,
  Minutes,
  NoProperties,
  optional,
  pageOf,
  PageQuery,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"
import { Credentials } from "./UsersApi.ts"

const AttemptJson = LoginAttempt.json.annotate({
  identifier: "LoginAttempt",
  description: "An attempt to sign in",
})

const FailureCount = Schema.Struct({ count: Count })
  .annotate({ identifier: "FailureCount", description: "Failed attempts in the window" })

const Begun = Schema.Struct({
  attempt: AttemptJson,
  counts: Schema.Array(FailureCountBy),
  knownSource: Schema.Boolean,
  user: Schema.optionalKey(Schema.NullOr(Credentials)),
}).annotate({ identifier: "BegunAttempt", description: "A login attempt that has begun" })

const Completion = Schema.Struct({
  success: Schema.Boolean,
  failureReason: optional(FailureReason),
  refreshToken: optional(NewTokenJson),
}).annotate({
  identifier: "Completion",
  description: "How a login attempt went, and what begins its session",
}).check(
  Schema.makeFilter(({ success, refreshToken }) =>
    success || refreshToken === undefined || refreshToken === null
      ? true
      : { path: ["refreshToken"], issue: "Expected none for a failure" }
  ),
).annotate({ identifier: "Completion" })

const Completed = Schema.Struct({
  attempt: AttemptJson,
  refreshToken: Schema.NullOr(TokenJson),
}).annotate({ identifier: "CompletedAttempt", description: "A login attempt that was completed" })

const Forgiven = Schema.Struct({ forgivenAt: Timestamp })
  .annotate({ identifier: "Forgiven", description: "Since when failures count" })

const AttemptPage = pageOf("LoginAttemptPage", AttemptJson)

const Where = {
  email: Schema.optionalKey(Email),
  ipAddress: Schema.optionalKey(IpAddress),
}

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
    HttpApiEndpoint.post("begin", "/v1/login-attempts/begin", {
      headers: idempotencyKey(LoginAttemptId),
      query: { include: Schema.optionalKey(Schema.Literal("credentials")) },
      payload: AttemptToBegin.annotate({
        identifier: "AttemptToBegin",
        description: "A login attempt to begin, before the password is looked at",
      }),
      success: Begun.pipe(HttpApiSchema.status(201)),
      error: [Problem.IdempotencyKeyReused, Problem.TooManyFailures, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Begin a login attempt")
      .annotate(
        OpenApi.Description,
        "Counts failures, holds them against the limits and records the attempt, in one transaction: " +
          "of many at once exactly as many begin as a limit leaves. What is begun and never completed " +
          "counts as a failure. `email` and `emailAndIpAddress` count failures since the last success " +
          "of that address (and from there) and since failures were forgiven; `ipAddress` and " +
          "`ipPrefix` (/24 of IPv4, /64 of IPv6) count all, since an attacker can always succeed with " +
          "an account of his own. Where a limit is reached nothing is recorded. " +
          "`include=credentials` adds the account's credentials, null for an unknown address, which is " +
          "counted all the same; the key needs the scope `credentials:read` as well.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({
          email: "ada@example.com",
          ipAddress: "192.0.2.1",
          userAgent: "Mozilla/5.0",
          limits: [
            { by: "emailAndIpAddress", failures: 5, minutes: 15 },
            { by: "ipPrefix", failures: 100, minutes: 15 },
          ],
        }),
      )
      .annotate(RequiredScope, "attempts:write"),
    HttpApiEndpoint.post("complete", "/v1/login-attempts/:id/complete", {
      params: { id: LoginAttemptId },
      payload: Completion,
      success: Completed,
      error: [
        Problem.LoginAttemptNotFound,
        Problem.AttemptCompleted,
        Problem.UserInactive,
        Problem.TokenHashTaken,
        Problem.SessionLimit,
        Problem.PreconditionFailed,
        Problem.ReferencedUserNotFound,
        ...Problem.BodyProblems,
      ],
    })
      .annotate(OpenApi.Summary, "Complete a login attempt")
      .annotate(
        OpenApi.Description,
        "Says how it went, and with `refreshToken` begins the session of a success in the same " +
          "transaction; the key needs the scope `tokens:write` as well then. The token must be that of " +
          "the attempt's user. The same again returns the same; another verdict is " +
          "`attempt-completed`, and so is an attempt that was recorded whole.",
      )
      .annotate(
        OpenApi.Transform,
        withBodyExample({
          success: true,
          refreshToken: {
            userId: "6f1c1a52-7f3b-4d0e-9c65-0a4d1f2b7c11",
            tokenHash: "1f8a5c0e",
            expiresAt: "2099-01-31T12:00:00Z",
            userVersion: "42",
          },
        }),
      )
      .annotate(RequiredScope, "attempts:write"),
    HttpApiEndpoint.get("list", "/v1/login-attempts", {
      query: { ...Where, ...PageQuery },
      success: AttemptPage,
    })
      .annotate(OpenApi.Summary, "List login attempts of an e-mail or IP address, the newest first")
      .annotate(
        OpenApi.Description,
        "By `email`, all attempts, whether or not there is an account; by `ipAddress`, the failures; " +
          "by both, all attempts of the address from there. In pages.",
      )
      .annotate(RequiredScope, "attempts:read"),
    HttpApiEndpoint.get("listForUser", "/v1/users/:id/login-attempts", {
      params: { id: UserId },
      query: PageQuery,
      success: AttemptPage,
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "List a user's login attempts, the newest first")
      .annotate(OpenApi.Description, "Those that named the user's id, in pages.")
      .annotate(RequiredScope, "attempts:read"),
    HttpApiEndpoint.post("forgive", "/v1/users/:id/login-attempts/forgive", {
      params: { id: UserId },
      payload: NoProperties,
      success: Forgiven,
      error: [Problem.UserNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "Forgive the failures of a user's address up to now")
      .annotate(
        OpenApi.Description,
        "They no longer count for limits by `email` and `emailAndIpAddress`, and stay on record. The " +
          "user's version stays as it is.",
      )
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({})))
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
      query: { ...Where, minutes: Minutes },
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
