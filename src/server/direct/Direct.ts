/**
 * The short way of requests that are as requests should be.
 *
 * Routers, middlewares and their fibers cost more than everything else that a request needs. So
 * requests for most endpoints are taken from Node's server directly, decoded and encoded by the
 * endpoint's own schemas, and given to the same handlers. Whatever is unusual goes the long way, which
 * knows what to say of it: this one never refuses a request before its body, but for overload.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { ByteSize, Cause, Effect, Exit, Option, Result } from "effect"
import { HttpServerRespondable } from "effect/http"
import { InvalidRequest, Overloaded } from "../../api/problems.ts"
import { ApiKeys, mayUse } from "../ApiKeys.ts"
import { InFlight } from "../InFlight.ts"
import { internalError } from "../internalError.ts"
import { type Answer, problemAnswer } from "../problemAnswer.ts"
import { decodeUtf8, isJson, notUtf8 } from "../requestBody.ts"
import type { Decoded, DirectRoute } from "./DirectRoute.ts"
import { makeRouteTable } from "./RouteTable.ts"

export interface DirectOptions {
  readonly routes: ReadonlyArray<DirectRoute>
  /** The largest request body. */
  readonly bodyLimit: ByteSize.ByteSize
}

/** Takes a request, or leaves it untouched and says so. */
export type Direct = (request: IncomingMessage, response: ServerResponse) => boolean

const overloaded = problemAnswer(new Overloaded({}))

/** The key of `Authorization: Bearer`; schemes have no case (RFC 9110, 11.1). */
const bearerOf = (authorization: string | undefined) =>
  authorization === undefined ? undefined : /^bearer +([^ ].*)$/i.exec(authorization)?.[1]

/** The body's length, where the headers say it and it can be read from them alone. */
const lengthOf = ({ headers }: IncomingMessage) =>
  headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : NaN

const send = (response: ServerResponse, { status, headers, body }: Answer) => {
  // Of a client that hung up, only the work is finished.
  if (response.destroyed) return
  // Not `writeHead`: Deno writes head and body in one go only if both are left to the end.
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.end(body)
}

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

const notText = Effect.fail(new InvalidRequest({ errors: [{ path: "body", message: notUtf8 }] }))

export const make = Effect.fnUntraced(function* ({ routes, bodyLimit }: DirectOptions) {
  const keys = yield* ApiKeys
  const inFlight = yield* InFlight
  const runFork = Effect.runForkWith(yield* Effect.context())
  const longestBody = ByteSize.toNumberUnsafe(bodyLimit)
  const find = makeRouteTable(
    routes.map((route) => ({ method: route.method, path: route.path, route })),
  )

  const isAllowed = (request: IncomingMessage, route: DirectRoute) => {
    const bearer = bearerOf(request.headers.authorization)
    const key = bearer === undefined ? Option.none() : keys.find(bearer, request.socket)
    return Option.isSome(key) && mayUse(key.value, route.scope)
  }

  const fail = (response: ServerResponse, cause: Cause.Cause<unknown>) => {
    const error = Cause.findErrorOption(cause)
    if (Option.isSome(error) && HttpServerRespondable.isRespondable(error.value)) {
      return send(response, problemAnswer(error.value))
    }
    runFork(internalError(cause)).addObserver((exit) => {
      if (Exit.isSuccess(exit)) send(response, problemAnswer(exit.value))
    })
  }

  const succeed = (response: ServerResponse, route: DirectRoute, value: unknown) => {
    const answer = Result.try(() => route.encode(value))
    if (Result.isSuccess(answer)) send(response, answer.success)
    else fail(response, Cause.die(answer.failure))
  }

  const work = (
    response: ServerResponse,
    route: DirectRoute,
    effect: Effect.Effect<unknown, unknown>,
  ) => {
    if (inFlight.isFull()) return send(response, overloaded)
    inFlight.start({
      name: route.name,
      isLong: false,
      effect,
      answer: (exit) =>
        Exit.isSuccess(exit) ? succeed(response, route, exit.value) : fail(response, exit.cause),
    })
  }

  const handle = (route: DirectRoute, decoded: Decoded, bytes: Uint8Array) => {
    const text = bytes.byteLength === 0 ? Option.some("{}") : decodeUtf8(bytes)
    return Option.isSome(text) ? route.handle(decoded, text.value) : notText
  }

  const direct: Direct = (request, response) => {
    const { method, url, headers } = request
    // Node tells older clients how long an answer is only if the length is among its headers.
    if (request.httpVersion !== "1.1") return false
    if (method === undefined || url === undefined || headers.host === undefined) return false
    const match = find(method, url)
    if (match === undefined) return false
    const { route } = match
    const length = lengthOf(request)
    const isReadable = route.takesBody
      ? length <= longestBody && (length === 0 || isJson(headers["content-type"]))
      : length === 0
    if (!isReadable || !isAllowed(request, route)) return false
    const decoded = route.decode({ parameters: match.parameters, query: match.query, headers })
    if (decoded === undefined) return false
    if (length === 0) work(response, route, route.handle(decoded, "{}"))
    else read(request, length, (body) => work(response, route, handle(route, decoded, body)))
    return true
  }
  return direct
})
