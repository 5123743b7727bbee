/**
 * Problems as answers of Node's server, for where no endpoint of the API makes them.
 */
import { type ServerResponse, STATUS_CODES } from "node:http"
import { Effect, Schema } from "effect"
import { HttpServerRespondable } from "effect/http"
import { TooManyFailures } from "../../api/problems.ts"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string
}

/** Seconds after which a client may try again. */
const retryAfter = "1"

const decodeLimits = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ limits: TooManyFailures.fields.limits })),
)

/** Seconds after which none of the limits keeps an attempt from beginning. */
const retryAfterOf = (problem: Uint8Array) =>
  String(
    Math.max(
      ...decodeLimits(new TextDecoder().decode(problem)).limits.map(({ retryAfter }) => retryAfter),
    ),
  )

/** The headers that the status of a problem asks for. */
export const headersOfProblem = (
  status: number,
  problem: Uint8Array,
): Readonly<Record<string, string>> =>
  status === 429 ? { "retry-after": retryAfterOf(problem) } : headersOfStatus(status)

/** The headers that a status asks for. */
const headersOfStatus = (status: number): Readonly<Record<string, string>> => {
  switch (status) {
    case 401:
      // RFC 6750, 3
      return { "www-authenticate": "Bearer" }
    case 503:
      return { "retry-after": retryAfter }
    default:
      return {}
  }
}

export const problemResponse = (
  problem: HttpServerRespondable.Respondable,
  headers: Readonly<Record<string, string>> = {},
): Answer => {
  const { status, body } = Effect.runSync(HttpServerRespondable.toResponse(problem))
  const bytes = body._tag === "Uint8Array" ? body.body : new Uint8Array()
  return {
    status,
    headers: {
      "content-type": "application/problem+json",
      "content-length": String(bytes.byteLength),
      ...headersOfProblem(status, bytes),
      ...headers,
    },
    body: bytes,
  }
}

/** Makes an answer the response to a request. */
export const send = (response: ServerResponse, { status, headers, body }: Answer): void => {
  // Of a client that hung up, only the work is finished.
  if (response.destroyed) return
  // Not `writeHead`: Deno writes head and body in one go only if both are left to the end.
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.end(body)
}

/** An answer as it goes over the wire, for what never became a request. */
export const formatResponse = ({ status, headers, body }: Answer): Uint8Array => {
  const lines = Object.entries({ ...headers, connection: "close" })
    .map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(body)])
}
