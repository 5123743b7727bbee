/**
 * Request bodies, read more strictly and more kindly than the platform does.
 */
import { Effect, Result } from "effect"
import { Headers, HttpMethod, HttpServerError, HttpServerRequest } from "effect/http"

const decoder = new TextDecoder("utf-8", { fatal: true })

const isJson = (contentType: string | undefined) =>
  contentType === undefined || /^\s*application\/json\s*(?:;|$)/i.test(contentType)

/** How many bytes the headers announce; undefined when only the end of the body will tell. */
const announcedLength = (headers: Headers.Headers): number | undefined => {
  if (headers["content-length"] !== undefined) return Number(headers["content-length"])
  return headers["transfer-encoding"] === undefined ? 0 : undefined
}

const withText = (
  request: HttpServerRequest.HttpServerRequest,
  text: HttpServerRequest.HttpServerRequest["text"],
): HttpServerRequest.HttpServerRequest => Object.create(request, { text: { value: text } })

/** A client sends a content type, or not, with a body of no bytes; curl even says it is a form. */
const asEmptyObject = (request: HttpServerRequest.HttpServerRequest) =>
  withText(
    request.modify({ headers: Headers.set(request.headers, "content-type", "application/json") }),
    Effect.succeed("{}"),
  )

const readUtf8 = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.flatMap(
    request.arrayBuffer,
    (bytes) =>
      bytes.byteLength === 0 ? Effect.succeed("{}") : Result.match(
        Result.try(() => decoder.decode(bytes)),
        {
          onSuccess: Effect.succeed,
          onFailure: () =>
            Effect.fail(
              new HttpServerError.HttpServerError({
                reason: new HttpServerError.RequestParseError({
                  request,
                  reason: "Parse",
                  description: "Expected UTF-8",
                }),
              }),
            ),
        },
      ),
  )

/**
 * The same request, but a body of no bytes is `{}`, whatever its content type, and one that is not
 * UTF-8 is refused instead of repaired.
 */
export const withStrictBody = (
  request: HttpServerRequest.HttpServerRequest,
): Effect.Effect<HttpServerRequest.HttpServerRequest, HttpServerError.HttpServerError> => {
  if (!HttpMethod.hasBody(request.method)) return Effect.succeed(request)
  const length = announcedLength(request.headers)
  if (length === 0) return Effect.succeed(asEmptyObject(request))
  if (length === undefined && !isJson(request.headers["content-type"])) {
    // Only an empty body may have another type, so it has to be read before the type is judged.
    return Effect.map(
      request.arrayBuffer,
      (bytes) => bytes.byteLength === 0 ? asEmptyObject(request) : request,
    )
  }
  return Effect.succeed(withText(request, readUtf8(request)))
}
