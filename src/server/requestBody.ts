/**
 * Request bodies, read more strictly and more kindly than the platform does.
 */
import type { IncomingHttpHeaders } from "node:http"
import { Effect, Option, Result, Schema, SchemaIssue, Stream } from "effect"
import { Headers, HttpMethod, HttpServerError, HttpServerRequest } from "effect/http"
import * as Problem from "../api/problems.ts"
import { type Answer, problemResponse } from "./problems/problemResponse.ts"

/** What is expected of a body that is not UTF-8. */
export const notUtf8 = "Expected UTF-8"

const decoder = new TextDecoder("utf-8", { fatal: true })

/** Text in UTF-8, strictly: none where the bytes are something else. A byte order mark is no part of it. */
export const decodeUtf8 = Option.liftThrowable((bytes: ArrayBuffer | Uint8Array) =>
  decoder.decode(bytes)
)

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
const isJson = (contentType: string | undefined) =>
  contentType === undefined || /^\s*application\/json\s*(?:;|$)/i.test(contentType)

type BodyHeaders = IncomingHttpHeaders | Headers.Headers

/** How many bytes the headers announce; undefined when only the end of the body will tell. */
export const announcedLength = (headers: BodyHeaders): number | undefined => {
  if (headers["transfer-encoding"] !== undefined) return undefined
  return Number(headers["content-length"] ?? 0)
}

const tooLarge = problemResponse(new Problem.BodyTooLarge({}))
const notJson = problemResponse(new Problem.UnsupportedMediaType({}))
const coded = problemResponse(
  new Problem.UnsupportedMediaType({ detail: "The body must come as it is, without a coding" }),
  // RFC 9110, 8.4 and 12.5.3: what would be taken instead.
  { "accept-encoding": "identity" },
)

/** The answer to a request whose headers announce a body that would not be taken. */
export const refuseBody = (headers: BodyHeaders, limit: number): Answer | undefined => {
  const length = announcedLength(headers)
  if (length === 0) return undefined
  if (length !== undefined && length > limit) return tooLarge
  const coding = headers["content-encoding"]
  if (coding !== undefined && coding.toLowerCase() !== "identity") return coded
  // Only a body of no bytes may have another type, and of this one nobody knows yet.
  return length === undefined || isJson(headers["content-type"]) ? undefined : notJson
}

const withText = (
  request: HttpServerRequest.HttpServerRequest,
  text: HttpServerRequest.HttpServerRequest["text"],
): HttpServerRequest.HttpServerRequest => Object.create(request, { text: { value: text } })

/** A client sends a content type, or not, with a body of no bytes; curl even says it is a form. */
const asJson = (request: HttpServerRequest.HttpServerRequest) =>
  request.modify({ headers: Headers.set(request.headers, "content-type", "application/json") })

const refuse = (
  request: HttpServerRequest.HttpServerRequest,
  why: { readonly description: string } | { readonly cause: Problem.UnsupportedMediaType },
) =>
  new HttpServerError.HttpServerError({
    reason: new HttpServerError.RequestParseError({ request, reason: "Parse", ...why }),
  })

const readUtf8 = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.flatMap(
    request.arrayBuffer,
    (bytes) =>
      bytes.byteLength === 0 ? Effect.succeed("{}") : Option.match(
        decodeUtf8(bytes),
        {
          onSome: Effect.succeed,
          onNone: () => Effect.fail(refuse(request, { description: notUtf8 })),
        },
      ),
  )

/** Reads a body that may only have no bytes, and no more of it than tells whether it has any. */
const readNothing = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.flatMap(
    Stream.runHead(request.stream),
    (first) =>
      Option.isNone(first)
        ? Effect.succeed("{}")
        : Effect.fail(refuse(request, { cause: new Problem.UnsupportedMediaType({}) })),
  )

/**
 * The same request, but a body of no bytes is `{}`, whatever its content type, and one that is not
 * UTF-8 is refused instead of repaired. Nothing is read until an endpoint asks for the body.
 */
export const withStrictBody = (
  request: HttpServerRequest.HttpServerRequest,
): HttpServerRequest.HttpServerRequest => {
  if (!HttpMethod.hasBody(request.method)) return request
  const length = announcedLength(request.headers)
  if (length === 0) return withText(asJson(request), Effect.succeed("{}"))
  if (length === undefined && !isJson(request.headers["content-type"])) {
    return withText(asJson(request), readNothing(request))
  }
  return withText(request, readUtf8(request))
}
