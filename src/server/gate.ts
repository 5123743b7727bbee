/**
 * What is refused before anything is read or worked on for a request: by its headers alone.
 *
 * In this order, so that nobody learns or spends more than they may: what is not quite HTTP, what is
 * not there, callers without the key for it, all when too much is under way, bodies that would not be
 * read to their end.
 */
import type { IncomingMessage } from "node:http"
import { ByteSize, Option } from "effect"
import { InvalidRequest, MethodNotAllowed, NotFound, Overloaded } from "../api/problems.ts"
import type { ApiKeys } from "../operations/ApiKeys.ts"
import type { InFlight } from "../operations/InFlight.ts"
import { callerOf, forbidden, refuseCaller, unauthorized } from "./authorize.ts"
import { type Answer, problemResponse } from "./problems/problemResponse.ts"
import { refuseBody } from "./requestBody.ts"
import { refuseHeaders } from "./requestHeaders.ts"
import type { RequestRecord } from "./requestRecord.ts"
import { normalizeTarget, toOriginForm } from "./requestTarget.ts"
import type { Found, Routes } from "./Routes.ts"

export interface GateOptions {
  readonly routes: Routes
  readonly keys: ApiKeys["Service"]
  readonly inFlight: InFlight["Service"]
  /** The largest request body. */
  readonly bodyLimit: ByteSize.ByteSize
}

/** Finds what a request is for, or why it is refused; its record gets to know what was found. */
export type Gate = (request: IncomingMessage, record: RequestRecord) => Found | Answer

export const isAnswer = (passed: Found | Answer): passed is Answer => "status" in passed

const notFound = problemResponse(new NotFound({}))
const badPath = problemResponse(
  new InvalidRequest({ errors: [{ path: "path", message: "Expected UTF-8 in percent-encoding" }] }),
)
const overloaded = problemResponse(new Overloaded({}))
const callers = new Map(
  [unauthorized, forbidden].map((problem) => [problem, problemResponse(problem)]),
)

export const makeGate = ({ routes, keys, inFlight, bodyLimit }: GateOptions): Gate => {
  const longestBody = ByteSize.toNumberUnsafe(bodyLimit)

  const find = ({ method = "", url = "" }: IncomingMessage): Found | Answer => {
    const match = routes.match(method, url)
    if (match !== undefined) return match
    const target = normalizeTarget(toOriginForm(url))
    if (Option.isNone(target)) return badPath
    const found = routes.find(method, target.value)
    if (found !== undefined) return found
    const methods = routes.methodsAt(target.value)
    return methods.length === 0
      ? notFound
      : problemResponse(new MethodNotAllowed({}), { allow: methods.join(", ") })
  }

  return (request, record) => {
    const { headers, socket } = request
    const headersRefused = refuseHeaders(request)
    if (headersRefused !== undefined) return headersRefused
    const found = find(request)
    if (isAnswer(found)) return found
    const { needsKey, scope, isAdmitted, takesBody } = record.route = found.route
    if (needsKey) {
      const key = callerOf(keys, headers.authorization, socket)
      record.keyName = Option.getOrUndefined(key)?.name
      const caller = refuseCaller(key, scope)
      if (caller !== undefined) return callers.get(caller) ?? problemResponse(caller)
    }
    if (isAdmitted && inFlight.isFull()) return overloaded
    return (takesBody ? refuseBody(headers, longestBody) : undefined) ?? found
  }
}
