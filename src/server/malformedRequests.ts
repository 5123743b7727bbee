/**
 * Answers to what is no HTTP request, or never becomes one.
 */
import type { Server } from "node:http"
import { Effect } from "effect"
import { HttpServerRespondable } from "effect/http"
import * as Problem from "../api/problems.ts"

// https://nodejs.org/api/http.html#event-clienterror
const problemOf = (code: string | undefined) => {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new Problem.RequestTimeout({})
    case "HPE_HEADER_OVERFLOW":
      return new Problem.HeadersTooLarge({})
    default:
      return new Problem.InvalidRequest({
        errors: [{ path: "request", message: "Expected an HTTP/1.1 request" }],
      })
  }
}

/** Node would answer without a body. */
export const answerMalformedRequests = (server: Server) => {
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy()
      return
    }
    const problem = problemOf(error.code)
    const response = Effect.runSync(HttpServerRespondable.toResponse(problem))
    const body = response.body._tag === "Uint8Array" ? response.body.body : new Uint8Array()
    const head = [
      `HTTP/1.1 ${response.status} ${problem.title}`,
      "Content-Type: application/problem+json",
      `Content-Length: ${body.byteLength}`,
      "Connection: close",
    ]
    socket.write(`${head.join("\r\n")}\r\n\r\n`)
    socket.end(body)
  })
}
