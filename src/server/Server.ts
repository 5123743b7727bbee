/**
 * The HTTP service: routes, and the listener under them.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { ByteSize, Duration, Effect, Layer, Metric, Option, References, Scope } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { LoginAttemptsApi } from "../api/LoginAttemptsApi.ts"
import { RefreshTokensApi } from "../api/RefreshTokensApi.ts"
import { SessionsApi } from "../api/SessionsApi.ts"
import { UsersApi } from "../api/UsersApi.ts"
import { observeGauge } from "../background/observedMetric.ts"
import { ApiKeys } from "../operations/ApiKeys.ts"
import { InFlight } from "../operations/InFlight.ts"
import { patchConnectionList } from "../runtime/denoConnectionList.ts"
import { keepAccepting } from "../runtime/keepAccepting.ts"
import type { AccessLogMode } from "./accessLog.ts"
import { dispatch } from "./dispatch.ts"
import { Documentation } from "./docs/Documentation.ts"
import { drain, makeCountdown } from "./drain.ts"
import * as FastPath from "./fastPath/FastPath.ts"
import { fastRoutes } from "./fastPath/FastRoute.ts"
import { makeGate } from "./gate.ts"
import { HealthHandlers } from "./handlers/HealthHandlers.ts"
import {
  LoginAttemptsHandlers,
  makeLoginAttemptsHandlers,
} from "./handlers/LoginAttemptsHandlers.ts"
import { MaintenanceHandlers } from "./handlers/MaintenanceHandlers.ts"
import {
  makeRefreshTokensHandlers,
  RefreshTokensHandlers,
} from "./handlers/RefreshTokensHandlers.ts"
import { makeSessionsHandlers, SessionsHandlers } from "./handlers/SessionsHandlers.ts"
import { makeUsersHandlers, UsersHandlers } from "./handlers/UsersHandlers.ts"
import { Connections } from "./listener/Connections.ts"
import { listenFailed } from "./listener/ListenFailed.ts"
import { answerMalformedRequests } from "./listener/malformedRequests.ts"
import { limitResponseTime } from "./listener/responseTimeout.ts"
import { makeObservers, type Observers } from "./observeRequests.ts"
import { RecordedRequest } from "./requestRecord.ts"
import { AdmissionLayer } from "./routed/AdmissionLayer.ts"
import { AuthorizationLayer } from "./routed/AuthorizationLayer.ts"
import { CommonProblemsLayer } from "./routed/CommonProblemsLayer.ts"
import { ProblemResponses } from "./routed/ProblemResponses.ts"
import { Propagators, withoutPlatformSpans } from "./routed/requestSpan.ts"
import { makeRoutes, routerConfig, type Routes } from "./Routes.ts"

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
  /** The longest that a client may take none of a response that is being sent to it. */
  readonly responseTimeout: Duration.Duration
  /** The time that a connection may wait for its next request. */
  readonly keepAliveTimeout: Duration.Duration
  /** Requests that are worked on at once. */
  readonly maxRequestsInFlight: number
  /** Which requests have an entry in the log. */
  readonly accessLog: AccessLogMode
  /** The port of probes and metrics, 0 being any free one; none where they have no port of their own. */
  readonly adminPort: Option.Option<number>
  /** The time for an answer. */
  readonly answerTimeout: Duration.Duration
  /** The time in which a stop lets connections go, each with the answer to its next request. */
  readonly shutdownDelay: Duration.Duration
  /** The time that requests under way have to finish when the service stops. */
  readonly shutdownTimeout: Duration.Duration
  /** How requests say which trace they belong to, by the names of `OTEL_PROPAGATORS`. */
  readonly propagators: ReadonlyArray<string>
}

const connectionsGauge = Metric.gauge("http_connections", {
  description: "Connections of clients",
})

const connectionsLimit = Metric.gauge("http_connections_limit", {
  description: "Connections of clients at once; more are closed",
})

/** Connections to the port of probes and metrics at once. */
const maxAdminConnections = 100

const probes: ReadonlySet<string> = new Set(["/livez", "/readyz"])

/** Balancers may ask at the port that they send requests to as well. */
const isProbe = (path: string) => probes.has(path)

/** What the port of probes and metrics answers. */
const isOfAdmin = (path: string) => isProbe(path) || path === "/metrics"

const ApiRoutes = Layer.mergeAll(
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide([
      UsersHandlers,
      RefreshTokensHandlers,
      SessionsHandlers,
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
const makeFastRoutes = Effect.gen(function* () {
  return [
    ...fastRoutes(UsersApi, yield* makeUsersHandlers),
    ...fastRoutes(RefreshTokensApi, yield* makeRefreshTokensHandlers),
    ...fastRoutes(SessionsApi, yield* makeSessionsHandlers),
    ...fastRoutes(LoginAttemptsApi, yield* makeLoginAttemptsHandlers),
  ]
})

const makeServer = (options: ServerOptions) => {
  const server = createServer({
    IncomingMessage: RecordedRequest,
    keepAliveTimeout: Duration.toMillis(options.keepAliveTimeout),
    headersTimeout: Duration.toMillis(options.requestTimeout),
    requestTimeout: Duration.toMillis(options.requestTimeout),
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: ByteSize.toNumberUnsafe(options.headerLimit),
    // Looked for by the gate: Node would answer without a body.
    requireHostHeader: false,
    // A wish to upgrade may be ignored (RFC 9110, 7.8). An upgraded connection has left all limits.
    shouldUpgradeCallback: () => false,
  })
  // As many as fit into the limit on their size: Node would drop what is beyond a number of them.
  server.maxHeadersCount = 0
  return server
}

/** Listens and closes again, to know that the port is free, or which one is. */
const findFreePort = ({ host, port }: ServerOptions) =>
  HttpServer.HttpServer.use(({ address }) =>
    Effect.succeed("port" in address ? address.port : port)
  ).pipe(Effect.provide(NodeHttpServer.layer(createServer, { host, port })))

/** Has a server listen. How it stops is `drain`'s. */
const listen = Effect.fnUntraced(function* (server: Server, options: ServerOptions) {
  const port = options.sharing === "first" ? yield* findFreePort(options) : options.port
  return yield* NodeHttpServer.make(() => server, {
    host: options.host,
    port,
    reusePort: options.sharing !== undefined,
    disablePreemptiveShutdown: true,
  })
}, (effect, _server, options) => Effect.mapError(effect, listenFailed(options)))

/**
 * The way of requests that are unusual, or of all where spans are made. Requests belong to a scope that
 * is closed after the drain: in the server's own, which is closing then, each would be interrupted.
 */
const makeRouter = Effect.gen(function* () {
  const routed = yield* HttpRouter.toHttpEffect(ApiRoutes).pipe(
    Effect.provideService(HttpRouter.RouterConfig, routerConfig),
  )
  const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
  return yield* NodeHttpServer.makeHandler(routed, { scope })
})

/** What one listener answers, and how. */
interface Listening {
  readonly routes: Routes
  readonly fastPath: FastPath.FastPath | undefined
  readonly router: (request: IncomingMessage, response: ServerResponse) => void
  readonly observers: Observers
  /** The time in which a stop lets connections go. */
  readonly shutdownDelay: Duration.Duration
}

/** Listens until the scope closes, which stops it without clients noticing. */
const serveOn = Effect.fnUntraced(function* (
  options: ServerOptions,
  timeToStop: Effect.Effect<Duration.Duration>,
  { routes, fastPath, router, observers, shutdownDelay }: Listening,
) {
  const keys = yield* ApiKeys
  const inFlight = yield* InFlight
  const server = makeServer(options)
  const connections = new Connections(server, {
    max: options.maxConnections,
    onRefused: observers.onConnectionRefused,
    onEnd: observers.onResponse,
    onHangUp: inFlight.abandon,
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => limitResponseTime(server, options.responseTimeout)),
    (stop) => Effect.sync(stop),
  )
  answerMalformedRequests(server, connections, observers.onMalformed)
  const gate = makeGate({ routes, keys, inFlight, bodyLimit: options.bodyLimit })
  dispatch(server, { connections, gate, fastPath, router, onRefusal: observers.onRefusal })
  const listening = yield* listen(server, options)
  yield* Effect.acquireRelease(
    Effect.sync(() => patchConnectionList(server)),
    (stop) => Effect.sync(() => stop?.()),
  )
  yield* Effect.addFinalizer(() => drain(server, connections, { shutdownDelay, timeToStop }))
  // Ended before the drain, which closes the listener.
  yield* keepAccepting(server, { reusePort: options.sharing !== undefined })
  return { listening, connections }
})

/**
 * Probes and metrics on a port of their own, which answers when the service's own has as many
 * connections as it takes. Begun before that one, so that it is closed after it: `/readyz` says that
 * the service stops for as long as it does.
 */
const serveAdmin = Effect.fnUntraced(function* (
  options: ServerOptions,
  timeToStop: Effect.Effect<Duration.Duration>,
  listening: Omit<Listening, "routes" | "fastPath" | "shutdownDelay">,
) {
  if (Option.isNone(options.adminPort)) return
  const { listening: { address } } = yield* serveOn(
    {
      ...options,
      port: options.adminPort.value,
      sharing: undefined,
      maxConnections: maxAdminConnections,
    },
    timeToStop,
    {
      ...listening,
      routes: makeRoutes([], isOfAdmin),
      fastPath: undefined,
      shutdownDelay: Duration.zero,
    },
  )
  yield* Effect.logInfo(`Probes and metrics on ${HttpServer.formatAddress(address)}`)
})

const serve = Effect.fnUntraced(function* (
  options: ServerOptions,
  timeToStop: Effect.Effect<Duration.Duration>,
) {
  const observers = yield* makeObservers(options.accessLog)
  const isTraced = yield* References.TracerEnabled
  const router = yield* makeRouter
  yield* serveAdmin(options, timeToStop, { router, observers })
  const hasAdminPort = Option.isSome(options.adminPort)
  const { listening, connections } = yield* serveOn(options, timeToStop, {
    routes: makeRoutes(
      isTraced ? [] : yield* makeFastRoutes,
      (path) => !hasAdminPort || !isOfAdmin(path) || isProbe(path),
    ),
    fastPath: yield* FastPath.make,
    router,
    observers,
    shutdownDelay: options.shutdownDelay,
  })
  yield* observeGauge(connectionsGauge, () => connections.count)
  yield* observeGauge(connectionsLimit, () => options.maxConnections)
  return listening
})

/** Listens and serves for as long as its scope is open; gives the `HttpServer` and its address. */
export const layer = (options: ServerOptions) =>
  Layer.unwrap(Effect.sync(() => {
    const timeToStop = makeCountdown(options.shutdownTimeout)
    return Layer.effect(HttpServer.HttpServer, serve(options, timeToStop)).pipe(
      Layer.provide(InFlight.layer({
        maxInFlight: options.maxRequestsInFlight,
        deadline: options.answerTimeout,
        timeToStop,
      })),
      Layer.provide([
        NodeHttpServer.layerHttpServices,
        Layer.succeed(HttpIncomingMessage.MaxBodySize, options.bodyLimit),
        withoutPlatformSpans,
        Layer.succeed(Propagators, options.propagators),
      ]),
    )
  }))
