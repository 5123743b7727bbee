/**
 * The HTTP service: routes, and the listener under them.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { createServer } from "node:http"
import { ByteSize, Duration, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter } from "effect/http"
import { HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { AdmissionLayer } from "./AdmissionLayer.ts"
import { AuthorizationLayer } from "./AuthorizationLayer.ts"
import { CommonProblemsLayer } from "./CommonProblemsLayer.ts"
import { HealthHandlers } from "./HealthHandlers.ts"
import { LoginAttemptsHandlers } from "./LoginAttemptsHandlers.ts"
import { MaintenanceHandlers } from "./MaintenanceHandlers.ts"
import { ProblemResponses } from "./ProblemResponses.ts"
import { RefreshTokensHandlers } from "./RefreshTokensHandlers.ts"
import { answerMalformedRequests } from "./malformedRequests.ts"
import { UsersHandlers } from "./UsersHandlers.ts"

export interface ServerOptions {
  readonly host: string
  /** 0 is any free port. */
  readonly port: number
  /** The largest request body. */
  readonly bodyLimit: ByteSize.ByteSize
  /** The time that a request may take to arrive. */
  readonly requestTimeout: Duration.Duration
  /** The time that a connection may wait for its next request. */
  readonly keepAliveTimeout: Duration.Duration
  /** Requests that are worked on at once. */
  readonly maxRequestsInFlight: number
  /** The time for an answer. */
  readonly answerTimeout: Duration.Duration
  /** The time that requests under way have to finish when the service stops. */
  readonly shutdownTimeout: Duration.Duration
}

const routes = (options: ServerOptions) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
      Layer.provide([
        UsersHandlers,
        RefreshTokensHandlers,
        LoginAttemptsHandlers,
        MaintenanceHandlers,
        HealthHandlers,
      ]),
      Layer.provide([
        AuthorizationLayer,
        CommonProblemsLayer,
        AdmissionLayer({
          maxInFlight: options.maxRequestsInFlight,
          deadline: options.answerTimeout,
          shutdownTimeout: options.shutdownTimeout,
        }),
      ]),
    ),
    HttpApiScalar.layer(Api, { path: "/docs", scalar: { withDefaultFonts: false } }),
    ProblemResponses,
  )

const listener = (options: ServerOptions) =>
  NodeHttpServer.layer(
    () => {
      const server = createServer({
        keepAliveTimeout: Duration.toMillis(options.keepAliveTimeout),
        headersTimeout: Duration.toMillis(options.requestTimeout),
        requestTimeout: Duration.toMillis(options.requestTimeout),
        connectionsCheckingInterval: 1_000,
      })
      answerMalformedRequests(server)
      return server
    },
    {
      host: options.host,
      port: options.port,
      gracefulShutdownTimeout: options.shutdownTimeout,
    },
  )

/** Listens and serves for as long as its scope is open; gives the `HttpServer` and its address. */
export const layer = (options: ServerOptions) =>
  HttpRouter.serve(routes(options), {
    disableLogger: true,
    disableListenLog: true,
    routerConfig: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      // Longer than any value that a schema lets through, so that schemas are what refuses.
      maxParamLength: 8_192,
    },
  }).pipe(
    Layer.provideMerge(listener(options)),
    Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, options.bodyLimit)),
  )
