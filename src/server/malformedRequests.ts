/**
 * Answers to what is no HTTP request, or never becomes one.
 */
import type { Server } from "node:http"
import * as Problem from "../api/problems.ts"
import { problemAnswer } from "./problemAnswer.ts"

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

const closing = { connection: "close" }

/** Node would answer without a body. */
export const answerMalformedRequests = (server: Server) => {
  server.on("checkExpectation", (_request, response) => {
    const { status, headers, body } = problemAnswer(new Problem.ExpectationFailed({}))
    response.writeHead(status, { ...headers, ...closing }).end(body)
  })

  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy()
      return
    }
    const problem = problemOf(error.code)
    const { status, headers, body } = problemAnswer(problem)
    const head = [
      `HTTP/1.1 ${status} ${problem.title}`,
      ...Object.entries({ ...headers, ...closing }).map(([name, value]) => `${name}: ${value}`),
    ]
    socket.write(`${head.join("\r\n")}\r\n\r\n`)
    socket.end(body)
  })
}
