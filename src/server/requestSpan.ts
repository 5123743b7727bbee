/**
 * The span of a request.
 *
 * Not the platform's, which tells the URL: here URLs carry token hashes and e-mail addresses. The
 * router adds the route that the request was for.
 */
import { Effect, Layer, Option, References } from "effect"
import {
  HttpMiddleware,
  type HttpServerRequest,
  type HttpServerResponse,
  HttpTraceContext,
} from "effect/http"

/** Turns the platform's spans off. */
export const withoutPlatformSpans = Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)

/** Wraps the handling of a request into its span, where anybody listens to spans. */
export const withRequestSpan = <E, R>(
  request: HttpServerRequest.HttpServerRequest,
  handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R> => {
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
