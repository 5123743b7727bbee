/**
 * The HTTP service on a database of its own, listening on a free port.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { createHash } from "node:crypto"
import { ByteSize, Duration, Effect, Layer, Option, References } from "effect"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { Fatal } from "../../src/background/Fatal.ts"
import { ApiKey, type Scope } from "../../src/domain/ApiKey.ts"
import { ApiKeys } from "../../src/operations/ApiKeys.ts"
import { Maintenance } from "../../src/operations/Maintenance.ts"
import { Metrics } from "../../src/operations/Metrics.ts"
import { ReadinessLayer } from "../../src/operations/ReadinessLayer.ts"
import * as Server from "../../src/server/Server.ts"
import { TestDatabase } from "./TestDatabase.ts"

const keyFor = (scopes: ReadonlyArray<Scope>) =>
  new ApiKey({
    name: scopes.join(" "),
    sha256: createHash("sha256").update(`key for ${scopes.join(" ")}`).digest("hex"),
    scopes,
  })

const scopes: ReadonlyArray<ReadonlyArray<Scope>> = [
  ["*"],
  ["users:read"],
  ["users:write"],
  ["credentials:read"],
  ["tokens:read"],
  ["tokens:write"],
  ["attempts:read"],
  ["attempts:write"],
  ["maintenance"],
]

/** A key with exactly this scope. */
export const keyWith = (scope: Scope) => `key for ${scope}`

const Client = Layer.effect(
  HttpClient.HttpClient,
  Effect.gen(function* () {
    const client = yield* HttpClient.HttpClient
    const { address } = yield* HttpServer.HttpServer
    const url = HttpServer.formatAddress(address)
    return HttpClient.mapRequest(client, (request) =>
      HttpClientRequest.prependUrl(
        request.headers.authorization === undefined
          ? HttpClientRequest.bearerToken(request, keyWith("*"))
          : request,
        url,
      ))
  }),
).pipe(Layer.provide(NodeHttpClient.layerNodeHttp))

/** The service on the database that it is provided with. */
export const serviceOnDatabase = (overrides: Partial<Server.ServerOptions> = {}) =>
  Client.pipe(
    Layer.provideMerge(
      Server.layer({
        host: "127.0.0.1",
        port: 0,
        bodyLimit: ByteSize.kibibytes(256),
        headerLimit: ByteSize.kibibytes(16),
        maxConnections: 1_000,
        requestTimeout: Duration.minutes(5),
        responseTimeout: Duration.minutes(5),
        keepAliveTimeout: Duration.minutes(5),
        maxRequestsInFlight: 512,
        answerTimeout: Duration.minutes(5),
        shutdownDelay: Duration.zero,
        accessLog: "off",
        adminPort: Option.none(),
        shutdownTimeout: Duration.seconds(5),
        propagators: ["tracecontext", "b3"],
        ...overrides,
      }),
    ),
    Layer.provide(ReadinessLayer),
    Layer.provide(Maintenance.layer),
    Layer.provide(ApiKeys.layer(scopes.map(keyFor))),
    Layer.provide([Metrics.layer, Fatal.layer]),
  )

/** A database of its own for a service; spans are made where it is traced. */
export const serviceDatabase = ({ isTraced = false }: { readonly isTraced?: boolean } = {}) =>
  Layer.provideMerge(
    TestDatabase.layerRepositories,
    Layer.succeed(References.TracerEnabled, isTraced),
  )

/**
 * `HttpServer`, an `HttpClient` that calls it with a key for everything, and the repositories and
 * client of the same database. Where it is traced, all requests go through the router; otherwise most
 * go directly to their handlers.
 */
export const testService = (
  overrides: Partial<Server.ServerOptions> = {},
  options: { readonly isTraced?: boolean } = {},
) => Layer.provideMerge(serviceOnDatabase(overrides), serviceDatabase(options))

/** The service with time limits that only a test which sets its own ones meets. */
export const TestService = testService()
