/**
 * Answers to what is no HTTP request, or never becomes one.
 */
import type { Server } from "node:http"
import { Socket } from "node:net"
import * as Problem from "../../api/problems.ts"
import { type Answer, problemResponse } from "../problems/problemResponse.ts"
import { type Ended, malformedRecord } from "../requestRecord.ts"
import type { Connections } from "./Connections.ts"

const notHttp = problemResponse(
  new Problem.InvalidRequest({
    errors: [{ path: "request", message: "Expected an HTTP/1.1 request" }],
  }),
)

// https://nodejs.org/api/http.html#event-clienterror
const answers: Readonly<Record<string, Answer>> = {
  ERR_HTTP_REQUEST_TIMEOUT: problemResponse(new Problem.RequestTimeout({})),
  HPE_HEADER_OVERFLOW: problemResponse(new Problem.HeadersTooLarge({})),
}

/** This is no proxy: there is nothing at another address either. */
const noTunnel = problemResponse(new Problem.NotFound({}))

/** Node would answer without a body, or not at all. */
export const answerMalformedRequests = (
  server: Server,
  connections: Connections,
  onMalformed: (ended: Ended, status: number) => void,
) => {
  const answer = (socket: Socket, answer: Answer) => {
    const record = malformedRecord()
    const headers = { "x-request-id": record.id, "cache-control": "no-store" }
    const isOfRequest = connections.endWith(socket, answer, headers)
    // Otherwise that request ends with it.
    if (!isOfRequest) onMalformed({ record, status: answer.status, socket }, answer.status)
  }
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (!(socket instanceof Socket) || !socket.writable || error.code === "ECONNRESET") {
      socket.destroy()
      return
    }
    answer(socket, answers[error.code ?? ""] ?? notHttp)
  })
  server.on("connect", (_request, socket) => {
    if (socket instanceof Socket) answer(socket, noTunnel)
  })
}
