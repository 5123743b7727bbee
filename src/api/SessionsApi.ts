/**
 * Routes of sessions.
 */
import { flow, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { RevocationReason, SessionId, SessionJson } from "../domain/Session.ts"
import { UserId } from "../domain/User.ts"
import { Admission } from "./Admission.ts"
import { Authorization, RequiredScope } from "./Authorization.ts"
import { CommonProblems } from "./CommonProblems.ts"
import * as Problem from "./problems.ts"
import {
  optional,
  pageOf,
  PageQuery,
  Revoked,
  withBodyExample,
  withOptionalBody,
} from "./requests.ts"

const Session = SessionJson.annotate({
  identifier: "Session",
  description: "A live session, as its newest valid token has it",
})

/** Why a session ends, as the component `Revocation`. */
export const Revocation = Schema.Struct({ reason: optional(RevocationReason) })
  .annotate({ identifier: "Revocation", description: "Why a session ends" })

export class SessionsApi extends HttpApiGroup.make("sessions")
  .add(
    HttpApiEndpoint.get("list", "/v1/users/:id/sessions", {
      params: { id: UserId },
      query: PageQuery,
      success: pageOf("SessionPage", Session),
      error: Problem.UserNotFound,
    })
      .annotate(OpenApi.Summary, "List a user's live sessions, the oldest first")
      .annotate(
        OpenApi.Description,
        "In pages. A session is live while a token of it is valid; one with several valid tokens is " +
          "listed once. Sessions that are live throughout are listed exactly once.",
      )
      .annotate(RequiredScope, "tokens:read"),
    HttpApiEndpoint.post("revoke", "/v1/users/:id/sessions/:sessionId/revoke", {
      params: { id: UserId, sessionId: SessionId },
      payload: Revocation,
      success: Revoked,
      error: [Problem.UserNotFound, Problem.SessionNotFound, ...Problem.BodyProblems],
    })
      .annotate(OpenApi.Summary, "End a session of a user")
      .annotate(
        OpenApi.Description,
        "After the response no token of the session is valid. A session that has ended is 200 with 0; " +
          "one that the user never had is `session-not-found`.",
      )
      .annotate(OpenApi.Transform, flow(withOptionalBody, withBodyExample({ reason: "logout" })))
      .annotate(RequiredScope, "tokens:write"),
  )
  .middleware(CommonProblems)
  .middleware(Admission)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({
    title: "Sessions",
    description: "What a created refresh token begins and its rotations continue",
  })) {}
