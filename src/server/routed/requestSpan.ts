/**
 * The span of a request.
 *
 * Not the platform's, which tells the URL: here URLs carry token hashes and e-mail addresses. The
 * router adds the route that the request was for.
 */
import type { IncomingMessage } from "node:http"
import { Effect, Layer, Option, References } from "effect"
import { Headers, HttpMiddleware, HttpTraceContext } from "effect/http"

/** Turns the platform's spans off. */
export const withoutPlatformSpans = Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)

/** Wraps the handling of a request into its span, where anybody listens to spans. */
export const withRequestSpan = <A extends { readonly status: number }, E, R>(
  request: { readonly method: string; readonly headers: Headers.Headers },
  handled: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> => {
  const traced = Effect.useSpan(
    request.method,
    {
      kind: "server",
      parent: Option.getOrUndefined(HttpTraceContext.fromHeaders(request.headers)),
      attributes: { "http.request.method": request.method },
    },
    (span) =>
      Effect.tap(Effect.withParentSpan(handled, span), ({ status }) =>
        Effect.sync(() => {
          span.attribute("http.response.status_code", status)
          // https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
          if (status >= 500) span.attribute("error.type", String(status))
        })),
  )
  return Effect.flatMap(References.TracerEnabled, (enabled) => enabled ? traced : handled)
}

/** The span of a request that was refused before it was handled. */
export const spanOfRefusal = ({ method = "", headers }: IncomingMessage, status: number) =>
  withRequestSpan({ method, headers: Headers.fromInput(headers) }, Effect.succeed({ status }))
