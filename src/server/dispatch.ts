/**
 * The way of a request, from Node's server to what answers it. There is no other.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { ExpectationFailed } from "../api/problems.ts"
import { setAnswerHeaders } from "./answerHeaders.ts"
import type { FastPath } from "./fastPath/FastPath.ts"
import { type Gate, isAnswer } from "./gate.ts"
import type { Connections } from "./listener/Connections.ts"
import { type Answer, problemResponse, send } from "./problems/problemResponse.ts"
import { announcedLength } from "./requestBody.ts"
import { beginRecord } from "./requestRecord.ts"

export interface Handling {
  readonly connections: Connections
  readonly gate: Gate
  /** None where every request is to go through the router. */
  readonly fastPath: FastPath | undefined
  readonly router: (request: IncomingMessage, response: ServerResponse) => void
  /** Told of requests that were refused before they reached either. */
  readonly onRefusal: (request: IncomingMessage, response: ServerResponse) => void
}

/** Bytes of a body that are read so that its connection can be kept, though nobody wants them. */
const worthReading = 16 * 1024

const expectationFailed = problemResponse(new ExpectationFailed({}))

/** Answers the requests of a server. */
export const dispatch = (server: Server, handling: Handling) => {
  const { connections, gate, fastPath, router, onRefusal } = handling

  /** Begins a request; none where nothing more is begun on its connection. */
  const begin = (request: IncomingMessage, response: ServerResponse) => {
    if (!connections.begin(response)) return undefined
    const record = beginRecord(request)
    setAnswerHeaders(record, response)
    return record
  }

  const refuse = (request: IncomingMessage, response: ServerResponse, answer: Answer) => {
    const unread = request.headers.expect === undefined
      ? announcedLength(request.headers) ?? Infinity
      : Infinity
    if (unread > worthReading) connections.endAfter(response)
    send(response, answer)
    onRefusal(request, response)
  }

  const handle = (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean) => {
    const record = begin(request, response)
    if (record === undefined) return
    const passed = gate(request, record)
    if (isAnswer(passed)) return refuse(request, response, passed)
    if (awaitsContinue) response.writeContinue()
    if (fastPath?.(passed, request, response)) return
    router(request, response)
  }

  server.on("request", (request, response) => handle(request, response, false))
  server.on("checkContinue", (request, response) => handle(request, response, true))
  server.on("checkExpectation", (request, response) => {
    if (begin(request, response) !== undefined) refuse(request, response, expectationFailed)
  })
}
