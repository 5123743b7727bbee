/**
 * The fast path: requests that are as requests should be, without the router.
 *
 * Routers, middlewares and their fibers cost more than everything else that a request needs. So
 * requests for most endpoints are decoded and encoded here by the endpoint's own schemas, and given to
 * the same handlers. Whatever is unusual is left to the router, which knows what to say of it: this one
 * refuses nothing but bodies that are not what they should be, and what there is no room for.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Cause, Effect, Exit, Option, Result } from "effect"
import { HttpMethod, HttpServerRespondable } from "effect/http"
import { InvalidRequest } from "../../api/problems.ts"
import { InFlight } from "../../operations/InFlight.ts"
import { Replicas } from "../../operations/Replicas.ts"
import { isNotModified, validatorsOf } from "../answerHeaders.ts"
import { tellPosition } from "../positions.ts"
import { internalError } from "../problems/internalError.ts"
import { type Answer, problemResponse, send } from "../problems/problemResponse.ts"
import { announcedLength, decodeUtf8, notUtf8 } from "../requestBody.ts"
import { logFieldsOf, recordOf } from "../requestRecord.ts"
import type { Found } from "../Routes.ts"
import type { Decoded, FastRoute } from "./FastRoute.ts"

/** Takes a request that was let in, or leaves it untouched and says so. */
export type FastPath = (found: Found, request: IncomingMessage, response: ServerResponse) => boolean

/** Reads a body whose length is known; what comes after it is the next request. */
const read = (request: IncomingMessage, length: number, done: (body: Uint8Array) => void) => {
  const chunks: Array<Uint8Array> = []
  let missing = length
  request.on("data", (chunk: Uint8Array) => {
    chunks.push(chunk)
    missing -= chunk.byteLength
    // Not at the "end", which the stream tells of later, after the socket was read from once more.
    if (missing === 0) done(chunks.length === 1 ? chunk : Buffer.concat(chunks))
  })
  // The connection broke: nobody is left to be answered, and nothing has been begun.
  request.on("error", () => chunks.splice(0))
  // A stream that was never read from would keep its first chunk until then as well.
  request.read(0)
}

const unlessNotModified = ({ method, headers }: IncomingMessage, answer: Answer): Answer =>
  isNotModified(method, headers, answer)
    ? { status: 304, headers: validatorsOf(answer.headers), body: "" }
    : answer

const notText = Effect.fail(new InvalidRequest({ errors: [{ path: "body", message: notUtf8 }] }))

export const make = Effect.gen(function* () {
  const inFlight = yield* InFlight
  const replicas = yield* Replicas
  const runFork = Effect.runForkWith(yield* Effect.context())

  const fail = (response: ServerResponse, cause: Cause.Cause<unknown>) => {
    const error = Cause.findErrorOption(cause)
    if (Option.isSome(error) && HttpServerRespondable.isRespondable(error.value)) {
      return send(response, problemResponse(error.value))
    }
    const failed = Effect.annotateLogs(internalError(cause), logFieldsOf(recordOf(response.req)))
    runFork(failed).addObserver((exit) => {
      if (Exit.isSuccess(exit)) send(response, problemResponse(exit.value))
    })
  }

  const succeed = (response: ServerResponse, route: FastRoute, value: unknown) => {
    const answer = Result.try(() => route.encode(value))
    if (Result.isSuccess(answer)) send(response, unlessNotModified(response.req, answer.success))
    else fail(response, Cause.die(answer.failure))
  }

  const work = (
    response: ServerResponse,
    route: FastRoute,
    effect: Effect.Effect<unknown, unknown>,
  ) =>
    inFlight.start({
      isLong: false,
      effect: replicas !== undefined && route.writes
        ? tellPosition(effect, replicas, response)
        : effect,
      caller: HttpMethod.hasBody(route.method) ? undefined : response,
      answer: (exit) =>
        Exit.isSuccess(exit) ? succeed(response, route, exit.value) : fail(response, exit.cause),
    })

  const handle = (route: FastRoute, decoded: Decoded, bytes: Uint8Array) => {
    const text = bytes.byteLength === 0 ? Option.some("{}") : decodeUtf8(bytes)
    return Option.isSome(text) ? route.handle(decoded, text.value) : notText
  }

  const fastPath: FastPath = (found, request, response) => {
    const route = found.route.fast
    // Node tells older clients how long an answer is only if the length is among its headers.
    if (route === undefined || request.httpVersion !== "1.1") return false
    if (found.parameters === undefined) return false
    const { headers } = request
    const length = announcedLength(headers)
    // A body that is not asked for is ignored, which takes more than not to read it.
    if (length === undefined || (length > 0 && !route.takesBody)) return false
    const decoded = route.decode({ parameters: found.parameters, query: found.query, headers })
    if (decoded === undefined) return false
    if (length === 0) work(response, route, route.handle(decoded, "{}"))
    else read(request, length, (body) => work(response, route, handle(route, decoded, body)))
    return true
  }
  return fastPath
})
