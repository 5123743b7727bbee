/**
 * Responses that stay the same while the service runs: compressed for clients that accept it, and with
 * the tags by which clients tell that they have them.
 *
 * They are large, and anybody may request them. So they are sent piece by piece, as the client reads:
 * what is written to a connection is copied, and a whole document for each of many clients that do not
 * read is more memory than there is.
 */
import { createHash } from "node:crypto"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { Effect, Function, Stream } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

/** Once per document. */
const compress = Function.memoize((body: Uint8Array) => promisify(gzip)(body))

const digest = Function.memoize((body: Uint8Array) =>
  createHash("sha256").update(body).digest("base64url")
)

/** Bytes of a piece. */
const pieceSize = 16 * 1024

const toPieces = Function.memoize((body: Uint8Array) =>
  Array.from(
    { length: Math.ceil(body.byteLength / pieceSize) },
    (_, index) => body.subarray(index * pieceSize, (index + 1) * pieceSize),
  )
)

const inPieces = (
  body: Uint8Array,
  contentType: string,
  headers: Readonly<Record<string, string>>,
) =>
  HttpServerResponse.stream(Stream.fromIterable(toPieces(body), { chunkSize: 1 }), {
    contentType,
    contentLength: body.byteLength,
    headers,
  })

/** RFC 9110, 12.5.3: the client's word on `gzip` itself, or else on what it does not name. */
export const takesGzip = (acceptEncoding = "") => {
  const weights = new Map(
    acceptEncoding.toLowerCase().split(",").map((coding) => {
      const [name = "", weight = "q=1"] = coding.split(";").map((part) => part.trim())
      return [name, Number(weight.replace(/^q=/, ""))]
    }),
  )
  return (weights.get("gzip") ?? weights.get("*") ?? 0) > 0
}

/** For routes whose handler returns the very same response each time, whose tag it adds. */
export const staticDocuments = HttpRouter.middleware((handle) =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const response = yield* handle
    const { body } = response
    if (body._tag !== "Uint8Array") return response
    const isCompressed = takesGzip(headers["accept-encoding"])
    // Each coding is a representation of its own, with a tag of its own.
    const tag = `"${digest(body.body)}${isCompressed ? "-gzip" : ""}"`
    const validators = { etag: tag, vary: "accept-encoding", "cache-control": "no-cache" }
    if (!isCompressed) return inPieces(body.body, body.contentType, validators)
    const compressed = yield* Effect.promise(() => compress(body.body))
    return inPieces(compressed, body.contentType, { ...validators, "content-encoding": "gzip" })
  })
)
