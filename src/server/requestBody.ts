/**
 * Request bodies, read more strictly and more kindly than the platform does.
 */
import { Effect, Result } from "effect"
import { Headers, HttpMethod, HttpServerError, HttpServerRequest } from "effect/http"

const decoder = new TextDecoder("utf-8", { fatal: true })

/** A client sends a content type, or not, with a body of no bytes; curl even says it is a form. */
const isEmpty = (headers: Headers.Headers) =>
  headers["content-length"] === "0" ||
  (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined)

/**
 * The same request, but a body of no bytes is `{}`, whatever its content type, and one that is not
 * UTF-8 is refused instead of repaired.
 */
export const withStrictBody = (
  request: HttpServerRequest.HttpServerRequest,
): HttpServerRequest.HttpServerRequest => {
  if (!HttpMethod.hasBody(request.method)) return request
  const read = isEmpty(request.headers)
    ? request.modify({
      headers: Headers.set(request.headers, "content-type", "application/json"),
    })
    : request
  const text = Effect.flatMap(
    read.arrayBuffer,
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
  return Object.create(read, { text: { value: text } })
}
