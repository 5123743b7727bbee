/**
 * An endpoint of the API with its handler, made ready to be called without a router in between.
 *
 * Everything comes from the endpoint: the schemas that requests are decoded and answers encoded with,
 * the scope, the status. Parts that the schemas refuse are left to the router, which says why.
 */
import { Context, Effect, Option, Predicate, Result, Schema, type SchemaAST } from "effect"
import { HttpApi, type HttpApiEndpoint, HttpApiSchema } from "effect/http-api"
import { Admission, LongRunning } from "../../api/Admission.ts"
import { Api } from "../../api/Api.ts"
import { Authorization, RequiredScope } from "../../api/Authorization.ts"
import { CommonProblems } from "../../api/CommonProblems.ts"
import type { Scope } from "../../domain/ApiKey.ts"
import { writes } from "../positions.ts"
import { invalidRequest } from "../problems/invalidRequest.ts"
import type { Answer } from "../problems/problemResponse.ts"
import { parseJson } from "../requestBody.ts"
import { type Decode, strictDecoder } from "./strictDecoder.ts"

/** A request's parts, in the encodings that they arrive in. */
export interface Parts {
  readonly parameters: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>> | undefined
  readonly headers: Readonly<Record<string, unknown>>
}

/** As much of the request itself as handlers look at. */
interface Sent {
  readonly headers: Parts["headers"]
}

/** The decoded parts of a request; the payload comes last, when the body was read. */
export interface Decoded {
  readonly request: Sent
  params?: unknown
  query?: unknown
  headers?: unknown
  payload?: unknown
}

export interface FastRoute {
  readonly method: string
  readonly path: string
  readonly scope: Scope
  readonly takesBody: boolean
  /** Whether it may change what is read. */
  readonly writes: boolean
  /** None when the endpoint's schemas refuse a part. */
  readonly decode: (parts: Parts) => Decoded | undefined
  /** Calls the handler; `body` is JSON text. */
  readonly handle: (request: Decoded, body: string) => Effect.Effect<unknown, unknown>
  /** Encodes what the handler succeeded with. */
  readonly encode: (success: unknown) => Answer
}

/** Handlers by the names of their endpoints. A handler takes what its endpoint's schemas decode. */
export type FastHandlers = Readonly<
  Record<string, (request: never) => Effect.Effect<unknown, unknown>>
>

/** What has to be known of an endpoint, whatever its types. */
interface Endpoint extends
  Pick<
    HttpApiEndpoint.Top,
    | "method"
    | "path"
    | "params"
    | "query"
    | "headers"
    | "payload"
    | "success"
    | "annotations"
  > {
  readonly middlewares: ReadonlySet<unknown>
}

interface Group {
  readonly endpoints: Readonly<Record<string, Endpoint>>
}

/** The middlewares whose rules are kept here; an endpoint with another one is left to the router. */
const known: ReadonlySet<unknown> = new Set([CommonProblems, Admission, Authorization])

const optionsOf = <I>(key: Context.Key<I, SchemaAST.ParseOptions>): SchemaAST.ParseOptions =>
  Option.getOrElse(Context.getOption(Api.annotations, key), () => ({}))

const inputOptions = optionsOf(HttpApi.ParseOptions)
const headersOptions = optionsOf(HttpApi.HeadersParseOptions)
const successOptions = optionsOf(HttpApi.SuccessParseOptions)

/** No schema of the API asks for services, which `Schema.Top` does not say. */
const withoutServices = (schema: Schema.Top) => schema as Schema.Codec<unknown>

const inputDecoder = (schema: Schema.Top): Decode =>
  strictDecoder(withoutServices(schema), inputOptions)

const encoder = (schema: Schema.Top, options: SchemaAST.ParseOptions) =>
  Schema.encodeUnknownSync(withoutServices(schema), options)

const statusOf = (schema: Schema.Top): number =>
  Schema.resolveAnnotations(schema)?.httpApiStatus ??
    Schema.resolveAnnotationsKey(schema)?.httpApiStatus ?? 200

const toAnswer = (
  status: number,
  encoded: unknown,
  headers?: Readonly<Record<string, string>>,
): Answer => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(encoded),
})

const makeEncode = (success: Schema.Top): FastRoute["encode"] => {
  if (!HttpApiSchema.isWithHeaders(success)) {
    const status = statusOf(success)
    const encodeBody = encoder(success, successOptions)
    return (value) => toAnswer(status, encodeBody(value))
  }
  const status = statusOf(success.schema)
  const encodeBody = encoder(success.schema, successOptions)
  // Headers are text in any encoding that HttpApi takes.
  const encodeHeaders = encoder(success.headers, headersOptions) as (
    headers: unknown,
  ) => Readonly<Record<string, string>>
  return (value) => {
    if (!Predicate.hasProperty(value, "body") || !Predicate.hasProperty(value, "headers")) {
      throw new TypeError("A handler left out the headers of its answer")
    }
    return toAnswer(status, encodeBody(value.body), encodeHeaders(value.headers))
  }
}

const makeRoute = (
  endpoint: Endpoint,
  handler: FastHandlers[string],
): FastRoute | undefined => {
  const scope = Context.getOption(endpoint.annotations, RequiredScope)
  const [success, ...others] = endpoint.success
  const payload = endpoint.payload.get("application/json")
  if (
    scope._tag === "None" || success === undefined || others.length > 0 ||
    Context.get(endpoint.annotations, LongRunning) ||
    !Array.from(endpoint.middlewares).every((middleware) => known.has(middleware)) ||
    endpoint.middlewares.size !== known.size ||
    endpoint.payload.size !== (payload === undefined ? 0 : 1)
  ) return undefined

  const params = endpoint.params && inputDecoder(endpoint.params)
  const query = endpoint.query &&
    inputDecoder(Schema.toCodecArrayFromSingle(endpoint.query))
  const headers = endpoint.headers &&
    Schema.decodeUnknownResult(withoutServices(endpoint.headers), headersOptions)
  const body = payload && inputDecoder(payload.schemas[0])

  return {
    method: endpoint.method,
    path: endpoint.path,
    scope: scope.value,
    takesBody: body !== undefined,
    writes: writes(endpoint),
    decode: (parts) => {
      if (query === undefined && parts.query !== undefined) return undefined
      const request: Decoded = { request: { headers: parts.headers } }
      if (params !== undefined) {
        const decoded = params(parts.parameters)
        if (Result.isFailure(decoded)) return undefined
        request.params = decoded.success
      }
      if (headers !== undefined) {
        const decoded = headers(parts.headers)
        if (Result.isFailure(decoded)) return undefined
        request.headers = decoded.success
      }
      if (query !== undefined) {
        const decoded = query(parts.query ?? {})
        if (Result.isFailure(decoded)) return undefined
        request.query = decoded.success
      }
      return request
    },
    handle: (request, text) => {
      if (body !== undefined) {
        const decoded = Result.flatMap(parseJson(text), body)
        if (Result.isFailure(decoded)) {
          return Effect.fail(invalidRequest("body", decoded.failure.issue))
        }
        request.payload = decoded.success
      }
      // Each part was decoded by the schema that the type of the handler's request is made of.
      return handler(request as never)
    },
    encode: makeEncode(success),
  }
}

/** The routes of a group, but for endpoints that need more than is done here. */
export const fastRoutes = (
  group: Group,
  handlers: FastHandlers,
): ReadonlyArray<FastRoute> =>
  Object.entries(handlers).flatMap(([name, handler]) => {
    const endpoint = group.endpoints[name]
    const route = endpoint && makeRoute(endpoint, handler)
    return route === undefined ? [] : [route]
  })
