/**
 * The outermost layer of the service: makes requests readable, and every error answer a problem.
 */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Cause, Effect, Option } from "effect"
import {
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse,
} from "effect/http"
import * as Problem from "../api/problems.ts"
import { allowedMethods } from "./allowedMethods.ts"
import { internalError } from "./internalError.ts"
import { headersOfStatus } from "./problemAnswer.ts"
import { withStrictBody } from "./requestBody.ts"
import { withRequestSpan } from "./requestSpan.ts"
import { normalizeTarget } from "./requestTarget.ts"

const invalid = (path: string, message: string) =>
  new Problem.InvalidRequest({ errors: [{ path, message }] })

/** Nothing is there, or something else than what the method asks for. */
const notFound = (request: HttpServerRequest.HttpServerRequest) => {
  const methods = allowedMethods(request.url)
  return methods.length === 0
    ? HttpServerRespondable.toResponse(new Problem.NotFound({}))
    : Effect.map(
      HttpServerRespondable.toResponse(new Problem.MethodNotAllowed({})),
      HttpServerResponse.setHeader("allow", methods.join(", ")),
    )
}

/** RFC 9112, 3.2; HTTP/1.0, which health checks of load balancers still speak, has no such rule. */
const lacksHost = (request: HttpServerRequest.HttpServerRequest) =>
  request.headers.host === undefined &&
  NodeHttpServerRequest.toIncomingMessage(request).httpVersion !== "1.0"

const httpServerErrorOf = (cause: Cause.Cause<unknown>) =>
  cause.reasons
    .map((reason) =>
      reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : null
    )
    .find(HttpServerError.isHttpServerError)

/** The answer to a request whose handling failed in a way that its endpoint does not declare. */
const fromCause = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  cause: Cause.Cause<unknown>,
) {
  if (Cause.hasInterruptsOnly(cause)) return yield* Effect.failCause(cause)
  const reason = httpServerErrorOf(cause)?.reason
  if (reason?._tag === "RouteNotFound") return yield* notFound(request)
  if (reason?._tag === "RequestParseError") {
    return yield* HttpServerRespondable.toResponse(
      reason.reason === "BodyTooLarge"
        ? new Problem.BodyTooLarge({})
        : invalid("body", reason.description ?? "Expected a complete body"),
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
      const target = normalizeTarget(received.url)
      const request = Option.match(target, {
        onNone: () => received,
        onSome: (url) => url === received.url ? received : received.modify({ url }),
      })
      const handled = Option.isNone(target)
        ? HttpServerRespondable.toResponse(invalid("path", "Expected UTF-8 in percent-encoding"))
        : lacksHost(request)
        ? HttpServerRespondable.toResponse(invalid("host", "Expected a Host header"))
        : Effect.flatMap(
          withStrictBody(request),
          (strict) => Effect.provideService(handle, HttpServerRequest.HttpServerRequest, strict),
        )
      const answered = handled.pipe(
        Effect.catchCause((cause) => fromCause(request, cause)),
        Effect.flatMap(complete),
      )
      return withRequestSpan(request, answered)
    }),
  { global: true },
)
