/**
 * What is known of each request, for its line in the log and for the metrics, from its first moment on.
 */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { randomUUID } from "node:crypto"
import { type IncomingHttpHeaders, IncomingMessage, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { HttpServerRequest } from "effect/http"
import type { Route } from "./Routes.ts"

export interface RequestRecord {
  /** The client's name for the request, or a new one. */
  readonly id: string
  /** Empty where what came was no request. */
  readonly method: string
  /** Milliseconds of the process's monotonic clock. */
  readonly startedAt: number
  /** What it is for, if that is known. */
  route: Route | undefined
  /** The name of its caller's key, if it came with one that is known. */
  keyName: string | undefined
  /** The trace that its span is exported in, if it is. */
  traceId: string | undefined
}

/** A request that is over. */
export interface Ended {
  readonly record: RequestRecord
  /** What it was answered with; none when its client hung up before. */
  readonly status: number | undefined
  /** The connection that it came on. */
  readonly socket: Socket
}

/** What a client may call its request: visible ASCII characters, so that logs can have it as it is. */
const requestId = /^[\x21-\x7e]{1,128}$/

const requestIdOf = (headers: IncomingHttpHeaders): string => {
  const given = headers["x-request-id"]
  return typeof given === "string" && requestId.test(given) ? given : randomUUID()
}

/** The route of requests that are for none. */
export const unmatched = "unmatched"

const makeRecord = (id: string, method: string): RequestRecord => ({
  id,
  method,
  startedAt: performance.now(),
  route: undefined,
  keyName: undefined,
  traceId: undefined,
})

/** The record of what came and was no request. */
export const malformedRecord = (): RequestRecord => makeRecord(randomUUID(), "")

/** A request of the listener, with its record: what both ways of a request can get at. */
export class RecordedRequest extends IncomingMessage {
  record: RequestRecord | undefined = undefined
}

/** Begins the record of a request, which `recordOf` finds from then on. */
export const beginRecord = (request: IncomingMessage): RequestRecord => {
  const record = makeRecord(requestIdOf(request.headers), request.method ?? "")
  if (request instanceof RecordedRequest) request.record = record
  return record
}

/** The record of a request that has begun and is not over. */
export const recordOf = (request: object): RequestRecord | undefined =>
  request instanceof RecordedRequest ? request.record : undefined

/** The record of a request that is over, once. */
export const takeRecord = (request: object): RequestRecord | undefined => {
  const record = recordOf(request)
  if (request instanceof RecordedRequest) request.record = undefined
  return record
}

/** The fields that every line about a request has: no path, no query, nothing that a client wrote in them. */
export const logFieldsOf = (record: RequestRecord | undefined) =>
  record === undefined ? {} : {
    method: record.method,
    route: record.route?.template,
    key: record.keyName,
    requestId: record.id,
    traceId: record.traceId,
  }

/**
 * What Node has of a request of the router, by which its record is found. The listener speaks HTTP/1.1
 * only, which the types of the platform leave open.
 */
export const nodeOf = (request: HttpServerRequest.HttpServerRequest) => ({
  source: NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage,
  response: NodeHttpServerRequest.toServerResponse(request) as ServerResponse,
})
