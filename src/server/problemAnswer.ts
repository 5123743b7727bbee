/**
 * Problems as answers of Node's server, for where no endpoint of the API makes them.
 */
import { Effect } from "effect"
import { HttpServerRespondable } from "effect/http"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string
}

/** Seconds after which a client may try again. */
const retryAfter = "1"

/** The headers that a status asks for. */
export const headersOfStatus = (status: number): Readonly<Record<string, string>> => {
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

export const problemAnswer = (problem: HttpServerRespondable.Respondable): Answer => {
  const { status, body } = Effect.runSync(HttpServerRespondable.toResponse(problem))
  const bytes = body._tag === "Uint8Array" ? body.body : new Uint8Array()
  return {
    status,
    headers: {
      "content-type": "application/problem+json",
      "content-length": String(bytes.byteLength),
      ...headersOfStatus(status),
    },
    body: bytes,
  }
}
