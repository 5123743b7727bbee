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
import { isNotModified, validatorsOf } from "../answerHeaders.ts"
import { internalError } from "../problems/internalError.ts"
import { headersOfProblem } from "../problems/problemResponse.ts"
import { withStrictBody } from "../requestBody.ts"
import { logFieldsOf, nodeOf, recordOf } from "../requestRecord.ts"
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

const bytesOf = ({ body }: HttpServerResponse.HttpServerResponse) =>
  body._tag === "Uint8Array" ? body.body : new Uint8Array()

/** Adds what an answer's status asks for; below the endpoints, a 415 has no body. */
const complete = (
  { method, headers }: HttpServerRequest.HttpServerRequest,
  response: HttpServerResponse.HttpServerResponse,
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  if (response.status === 415) {
    return HttpServerRespondable.toResponse(new Problem.UnsupportedMediaType({}))
  }
  return Effect.succeed(
    isNotModified(method, headers, response)
      ? HttpServerResponse.empty({ status: 304, headers: validatorsOf(response.headers) })
      : HttpServerResponse.setHeaders(
        response,
        headersOfProblem(response.status, bytesOf(response)),
      ),
  )
}

export const ProblemResponses = HttpRouter.middleware(
  (handle) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (received) => {
      // The gate has refused what is malformed.
      const url = Option.getOrElse(normalizeTarget(received.url), () => received.url)
      const request = url === received.url ? received : received.modify({ url })
      const answered = handle.pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, withStrictBody(request)),
        Effect.catchCause(fromCause),
        Effect.flatMap((response) => complete(request, response)),
        Effect.annotateLogs(logFieldsOf(recordOf(received.source))),
      )
      const { source, response } = nodeOf(received)
      return withRequestSpan(source, response, answered)
    }),
  { global: true },
)
