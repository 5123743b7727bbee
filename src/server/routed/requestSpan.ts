/**
 * The span of a request, as OpenTelemetry wants it
 * (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server).
 *
 * Not the platform's, which tells the URL, the client and its headers: here URLs carry token hashes and
 * e-mail addresses. So there is no `url.path`, which the convention wants, and no `client.address`.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Context, Effect, Layer, Option, References, type Tracer } from "effect"
import { Headers, HttpMiddleware, HttpTraceContext } from "effect/http"
import { recordOf } from "../requestRecord.ts"
import type { Route } from "../Routes.ts"

/** Turns the platform's spans off. */
export const withoutPlatformSpans = Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)

const readers: Readonly<Record<string, HttpTraceContext.FromHeaders>> = {
  tracecontext: HttpTraceContext.w3c,
  b3: HttpTraceContext.b3,
  b3multi: HttpTraceContext.xb3,
}

/** The headers that say which trace a request belongs to, by the names of `OTEL_PROPAGATORS`. */
export const Propagators = Context.Reference<ReadonlyArray<string>>(
  "latchkey/server/routed/Propagators",
  { defaultValue: () => ["tracecontext"] },
)

/** The first that has one; a header that is not what it should be is as if it were not there. */
const parentOf = (headers: Headers.Headers, propagators: ReadonlyArray<string>) =>
  Option.firstSomeOf(propagators.map((name) => readers[name]?.(headers) ?? Option.none()))

// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes
const methods = new Set([
  "CONNECT",
  "DELETE",
  "GET",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "POST",
  "PUT",
  "QUERY",
  "TRACE",
])

const optionsOf = (
  request: IncomingMessage,
  route: Route | undefined,
  parent: Option.Option<Tracer.AnySpan>,
): Tracer.SpanOptionsNoTrace & { readonly name: string } => {
  const { method = "", httpVersion, socket } = request
  const isKnown = methods.has(method)
  return {
    name: [isKnown ? method : "HTTP", ...route === undefined ? [] : [route.template]].join(" "),
    kind: "server",
    parent: Option.getOrUndefined(parent),
    attributes: {
      "http.request.method": isKnown ? method : "_OTHER",
      ...isKnown ? {} : { "http.request.method_original": method },
      ...route === undefined ? {} : { "http.route": route.template },
      "url.scheme": "http",
      "network.protocol.version": httpVersion,
      ...socket.localAddress === undefined
        ? {}
        : { "server.address": socket.localAddress, "server.port": socket.localPort },
    },
  }
}

/** Says how a request was answered. Its span has failed where the service has, not where the client has. */
const tellAnswer = (
  span: Tracer.Span,
  route: Route | undefined,
  response: ServerResponse,
  status: number,
) => {
  // The router has put its own spelling of it there.
  if (route !== undefined) span.attribute("http.route", route.template)
  span.attribute("http.response.status_code", status)
  const id = response.getHeader("x-request-id")
  if (typeof id === "string") span.attribute("http.response.header.x-request-id", [id])
  if (status >= 500) span.attribute("error.type", String(status))
}

/**
 * Wraps the handling of a request into its span, where anybody listens to spans. What needs no key is
 * not traced: probes and documents, which come every few seconds and tell nothing.
 */
export const withRequestSpan = <A extends { readonly status: number }, E, R>(
  request: IncomingMessage,
  response: ServerResponse,
  handled: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> => {
  const traced = Effect.suspend(() => {
    const record = recordOf(request)
    const route = record?.route
    if (route?.needsKey === false) return Effect.withTracerEnabled(handled, false)
    return Effect.flatMap(Propagators, (propagators) => {
      const parent = parentOf(Headers.fromInput(request.headers), propagators)
      const { name, ...options } = optionsOf(request, route, parent)
      return Effect.useSpan(name, options, (span) => {
        if (record !== undefined && span.sampled) record.traceId = span.traceId
        return Effect.tap(
          Effect.withParentSpan(handled, span, { captureStackTrace: false }),
          ({ status }) => Effect.sync(() => tellAnswer(span, route, response, status)),
        )
      })
    })
  })
  return Effect.flatMap(References.TracerEnabled, (enabled) => enabled ? traced : handled)
}

/** The span of a request that was refused before it was handled. */
export const spanOfRefusal = (request: IncomingMessage, response: ServerResponse) =>
  withRequestSpan(request, response, Effect.succeed({ status: response.statusCode }))
