/**
 * The HTTP service: routes, and the listener under them.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { createServer, type Server } from "node:http"
import { ByteSize, Duration, Effect, Layer, References } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { LoginAttemptsApi } from "../api/LoginAttemptsApi.ts"
import { RefreshTokensApi } from "../api/RefreshTokensApi.ts"
import { UsersApi } from "../api/UsersApi.ts"
import { AdmissionLayer } from "./AdmissionLayer.ts"
import { AuthorizationLayer } from "./AuthorizationLayer.ts"
import { CommonProblemsLayer } from "./CommonProblemsLayer.ts"
import * as Direct from "./direct/Direct.ts"
import { directRoutes } from "./direct/DirectRoute.ts"
import { Documentation } from "./Documentation.ts"
import * as Drain from "./Drain.ts"
import { HealthHandlers } from "./HealthHandlers.ts"
import { InFlight } from "./InFlight.ts"
import { listenFailed } from "./ListenFailed.ts"
import { LoginAttemptsHandlers, makeLoginAttemptsHandlers } from "./LoginAttemptsHandlers.ts"
import { MaintenanceHandlers } from "./MaintenanceHandlers.ts"
import { ProblemResponses } from "./ProblemResponses.ts"
import { makeRefreshTokensHandlers, RefreshTokensHandlers } from "./RefreshTokensHandlers.ts"
import { answerMalformedRequests } from "./malformedRequests.ts"
import { withoutPlatformSpans } from "./requestSpan.ts"
import { keepConnectionsSteady } from "./steadyConnections.ts"
import { makeUsersHandlers, UsersHandlers } from "./UsersHandlers.ts"

export interface ServerOptions {
  readonly host: string
  /** 0 is any free port. */
  readonly port: number
  /**
   * Whether other listeners of this process share the port. The first one makes sure that nobody else
   * has it; with one that is shared, the system would not.
   */
  readonly sharing?: "first" | "further" | undefined
  /** The largest request body. */
  readonly bodyLimit: ByteSize.ByteSize
  /** The largest request line and headers together. */
  readonly headerLimit: ByteSize.ByteSize
  /** Connections at once; more are closed. */
  readonly maxConnections: number
  /** The time that a request may take to arrive. */
  readonly requestTimeout: Duration.Duration
  /** The time that a connection may wait for its next request. */
  readonly keepAliveTimeout: Duration.Duration
  /** Requests that are worked on at once. */
  readonly maxRequestsInFlight: number
  /** The time for an answer. */
  readonly answerTimeout: Duration.Duration
  /** The time in which a stop lets idle connections go, each with the answer to its next request. */
  readonly drainTime: Duration.Duration
  /** The time that requests under way have to finish when the service stops. */
  readonly shutdownTimeout: Duration.Duration
}

const Routes = Layer.mergeAll(
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide([
      UsersHandlers,
      RefreshTokensHandlers,
      LoginAttemptsHandlers,
      MaintenanceHandlers,
      HealthHandlers,
    ]),
    Layer.provide([AuthorizationLayer, CommonProblemsLayer, AdmissionLayer]),
  ),
  Documentation,
  ProblemResponses,
)

/** Those that most requests are for. */
const makeDirectRoutes = Effect.gen(function* () {
  return [
    ...directRoutes(UsersApi, yield* makeUsersHandlers),
    ...directRoutes(RefreshTokensApi, yield* makeRefreshTokensHandlers),
    ...directRoutes(LoginAttemptsApi, yield* makeLoginAttemptsHandlers),
  ]
})

const makeServer = (options: ServerOptions) => {
  const server = createServer({
    keepAliveTimeout: Duration.toMillis(options.keepAliveTimeout),
    headersTimeout: Duration.toMillis(options.requestTimeout),
    requestTimeout: Duration.toMillis(options.requestTimeout),
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: ByteSize.toNumberUnsafe(options.headerLimit),
    // Asked for by ProblemResponses: Node would answer without a body.
    requireHostHeader: false,
  })
  server.maxConnections = options.maxConnections
  answerMalformedRequests(server)
  server.once("listening", () => keepConnectionsSteady(server))
  return server
}

/** Listens and closes again, to know that the port is free, or which one is. */
const findFreePort = ({ host, port }: ServerOptions) =>
  HttpServer.HttpServer.use(({ address }) =>
    Effect.succeed("port" in address ? address.port : port)
  ).pipe(Effect.provide(NodeHttpServer.layer(createServer, { host, port })))

/** The stop is `Drain`'s. */
const listener = (server: Server, options: ServerOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const port = options.sharing === "first" ? yield* findFreePort(options) : options.port
      return yield* Layer.build(NodeHttpServer.layer(() => server, {
        host: options.host,
        port,
        reusePort: options.sharing !== undefined,
        disablePreemptiveShutdown: true,
      }))
    }).pipe(Effect.mapError(listenFailed(options))),
  )

/**
 * Offers each request to the short way before the platform's listener hears of it. Where spans are
 * made, all requests go the long way, which makes them.
 */
const shortcut = (server: Server, { bodyLimit }: ServerOptions) =>
  Layer.effectDiscard(Effect.gen(function* () {
    if (yield* References.TracerEnabled) return
    const direct = yield* Direct.make({ routes: yield* makeDirectRoutes, bodyLimit })
    const listeners = server.listeners("request")
    server.removeAllListeners("request")
    server.on("request", (request, response) => {
      if (direct(request, response)) return
      listeners.forEach((listener) => Reflect.apply(listener, server, [request, response]))
    })
  }))

const serving = (options: ServerOptions) => {
  const server = makeServer(options)
  const timeToStop = Drain.makeCountdown(options.shutdownTimeout)
  const served = HttpRouter.serve(Routes, {
    disableLogger: true,
    disableListenLog: true,
    routerConfig: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      // Longer than any request line that the listener takes, so that schemas are what refuses.
      maxParamLength: 65_536,
    },
  })
  const answering = shortcut(server, options).pipe(
    Layer.provideMerge(served),
    Layer.provide(InFlight.layer({
      maxInFlight: options.maxRequestsInFlight,
      deadline: options.answerTimeout,
      timeToStop,
    })),
    Layer.provideMerge(listener(server, options)),
    Layer.provide([
      Layer.succeed(HttpIncomingMessage.MaxBodySize, options.bodyLimit),
      withoutPlatformSpans,
    ]),
  )
  return Layer.provideMerge(
    Drain.layer(server, { drainTime: options.drainTime, timeToStop }),
    answering,
  )
}

/** Listens and serves for as long as its scope is open; gives the `HttpServer` and its address. */
export const layer = (options: ServerOptions) => Layer.unwrap(Effect.sync(() => serving(options)))
