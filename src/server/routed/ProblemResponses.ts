/**
 * The outermost layer of the router: makes requests readable, and every error response a problem.
 */
import { Cause, Effect, Option } from "effect"
import {
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse,
} from "effect/http"
import * as Problem from "../../api/problems.ts"
import { internalError } from "../problems/internalError.ts"
import { headersOfStatus } from "../problems/problemResponse.ts"
import { withStrictBody } from "../requestBody.ts"
import { normalizeTarget } from "../requestTarget.ts"
import { withRequestSpan } from "./requestSpan.ts"

const invalidBody = (message: string) =>
  new Problem.InvalidRequest({ errors: [{ path: "body", message }] })

const httpServerErrorOf = (cause: Cause.Cause<unknown>) =>
  cause.reasons
    .map((reason) =>
      reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : null
    )
    .find(HttpServerError.isHttpServerError)

/** The answer to a request whose handling failed in a way that its endpoint does not declare. */
const fromCause = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  if (Cause.hasInterruptsOnly(cause)) return yield* Effect.failCause(cause)
  const reason = httpServerErrorOf(cause)?.reason
  if (reason?._tag === "RequestParseError") {
    return yield* HttpServerRespondable.toResponse(
      HttpServerRespondable.isRespondable(reason.cause)
        ? reason.cause
        : reason.reason === "BodyTooLarge"
        ? new Problem.BodyTooLarge({})
        : invalidBody(reason.description ?? "Expected a complete body"),
    )
  }
  return yield* Effect.flatMap(internalError(cause), HttpServerRespondable.toResponse)
})

/** Adds what an answer's status asks for; below the endpoints, a 415 has no body. */
const complete = (
  response: HttpServerResponse.HttpServerResponse,
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  response.status === 415
    ? HttpServerRespondable.toResponse(new Problem.UnsupportedMediaType({}))
    : Effect.succeed(HttpServerResponse.setHeaders(response, headersOfStatus(response.status)))

export const ProblemResponses = HttpRouter.middleware(
  (handle) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (received) => {
      // The gate has refused what is malformed.
      const url = Option.getOrElse(normalizeTarget(received.url), () => received.url)
      const request = url === received.url ? received : received.modify({ url })
      const answered = handle.pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, withStrictBody(request)),
        Effect.catchCause(fromCause),
        Effect.flatMap(complete),
      )
      return withRequestSpan(request, answered)
    }),
  { global: true },
)
