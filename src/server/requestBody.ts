/**
 * Request bodies, read more strictly and more kindly than the platform does.
 */
import { isUtf8 } from "node:buffer"
import { Effect, Option, Result, Schema, SchemaIssue } from "effect"
import { Headers, HttpMethod, HttpServerError, HttpServerRequest } from "effect/http"

/** What is expected of a body that is not UTF-8. */
export const notUtf8 = "Expected UTF-8"

const replacement = "\uFFFD"

/** What a text in UTF-8 may begin with; it is no part of the text. */
const byteOrderMark = "\uFEFF"

/**
 * Text in UTF-8, strictly: none where the bytes are something else. What `TextDecoder` does, in less
 * than half of its time.
 */
export const decodeUtf8 = (bytes: ArrayBuffer | Uint8Array): Option.Option<string> => {
  const buffer = bytes instanceof ArrayBuffer
    ? Buffer.from(bytes)
    : Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString()
  // What is no UTF-8 becomes this character, which may as well have been sent.
  if (text.includes(replacement) && !isUtf8(buffer)) return Option.none()
  return Option.some(text.startsWith(byteOrderMark) ? text.slice(1) : text)
}

/** Parses JSON text, and refuses other text in the words of `HttpApi`. */
export const parseJson = (text: string): Result.Result<unknown, Schema.SchemaError> =>
  Result.try({
    try: (): unknown => JSON.parse(text),
    catch: () =>
      new Schema.SchemaError(
        new SchemaIssue.InvalidValue({ message: "Expected a valid JSON body" }),
      ),
  })

/** Whether a body is JSON by its `Content-Type`; one without any is taken for it. */
export const isJson = (contentType: string | undefined) =>
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
      bytes.byteLength === 0 ? Effect.succeed("{}") : Option.match(
        decodeUtf8(bytes),
        {
          onSome: Effect.succeed,
          onNone: () =>
            Effect.fail(
              new HttpServerError.HttpServerError({
                reason: new HttpServerError.RequestParseError({
                  request,
                  reason: "Parse",
                  description: notUtf8,
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
