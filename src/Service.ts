/**
 * The service, put together: settings, database, repositories, HTTP.
 */
import { NodeServices } from "@effect/platform-node"
import { Cause, Data, Duration, Effect, Exit, Layer, Option, References, Schedule } from "effect"
import { HttpServer } from "effect/http"
import { reasonOf } from "./background/ChangeLog.ts"
import { closingWithin, TimeToClose } from "./background/closingWithin.ts"
import { Fatal } from "./background/Fatal.ts"
import { runPeriodically } from "./background/runPeriodically.ts"
import { startWithin } from "./background/startWithin.ts"
import { fitConnections, openFilesLimit } from "./config/openFiles.ts"
import {
  cameThroughPipe,
  loadApiKeys,
  loadDatabase,
  loadReplicas,
  Settings,
  type SettingsShape,
} from "./config/Settings.ts"
import { describeUnknown, environmentNames } from "./config/telemetry/unknownVariables.ts"
import type { ConnectionParameters } from "./database/ConnectionParameters.ts"
import * as Database from "./database/Database.ts"
import * as Unreachable from "./database/DatabaseUnreachable.ts"
import { EmbeddedPostgres } from "./embedded/EmbeddedPostgres.ts"
import { Migrator } from "./migrator/Migrator.ts"
import { ApiKeys } from "./operations/ApiKeys.ts"
import * as buildMetric from "./operations/buildMetric.ts"
import { developmentKeys } from "./operations/DevelopmentKey.ts"
import { Maintenance } from "./operations/Maintenance.ts"
import { Metrics } from "./operations/Metrics.ts"
import * as processMetrics from "./operations/processMetrics.ts"
import { Readiness } from "./operations/Readiness.ts"
import { isReadOnly, ReadinessLayer, requireReady } from "./operations/ReadinessLayer.ts"
import * as readinessWatch from "./operations/readinessWatch.ts"
import * as Replicas from "./operations/Replicas.ts"
import * as Retention from "./operations/Retention.ts"
import { buildInfo } from "./process/buildInfo.ts"
import { announce } from "./process/Observability.ts"
import { reportStart } from "./process/startReport.ts"
import { LoginAttemptRepository } from "./repositories/loginAttempts/LoginAttemptRepository.ts"
import { RefreshTokenRepository } from "./repositories/refreshTokens/RefreshTokenRepository.ts"
import { RotationDefaults } from "./repositories/refreshTokens/RotationDefaults.ts"
import { UserRepository } from "./repositories/users/UserRepository.ts"
import * as patches from "./runtime/patches.ts"
import { makeCountdown } from "./server/drain.ts"
import * as Server from "./server/Server.ts"
import type { ThreadStart } from "./threads/messages.ts"
import { metricsOfThreads } from "./threads/metricsOfThreads.ts"
import { countThreads, shareOf } from "./threads/share.ts"
import { Threads } from "./threads/Threads.ts"

const client = (settings: SettingsShape, connection: ConnectionParameters) =>
  closingWithin(
    "The pool of connections for requests",
    Database.layer({
      connection,
      maxConnections: settings.databasePoolSize,
      statementTimeout: settings.statementTimeout,
      lockTimeout: settings.lockTimeout,
      idleInTransactionTimeout: settings.idleInTransactionTimeout,
    }),
  )

/** The variable names another database than at the start, or other servers. */
class RestartNeeded extends Data.TaggedError("RestartNeeded")<{ readonly message: string }> {}

/** Takes up a password, a certificate or a role that was replaced in a file, as by a rotation. */
const RotatedCredentials = Layer.effectDiscard(Effect.gen(function* () {
  if ((yield* cameThroughPipe).databaseUrl) return
  const { takeUp } = yield* Database.ConnectionSource
  const run = Effect.gen(function* () {
    const found = yield* loadDatabase
    if (Option.isNone(found)) return
    const change = yield* takeUp(found.value.parameters)
    if (change === "credentials") {
      yield* Effect.logInfo("DATABASE_URL has changed: new connections sign in as it says now")
    }
    if (change === "more") {
      return yield* new RestartNeeded({
        message: "it has changed in more than user, password and TLS, which takes a restart.",
      })
    }
  })
  yield* runPeriodically({
    name: "database-url",
    failing: "Keeping previous DATABASE_URL",
    recovered: "DATABASE_URL can be used again",
    run,
    firstAfter: Duration.seconds(5),
    schedule: Schedule.spaced("5 seconds"),
  })
})).pipe(Layer.provide(NodeServices.layer))

/** Whether a database may come to be usable by itself, soon. */
const isPassing = (error: Layer.Error<ReturnType<typeof checked>>): boolean =>
  error._tag === "DatabaseUnreachable"
    ? Unreachable.isPassing(error)
    : error._tag === "MigrationsUnavailable"
    ? error.sqlState === null
    : error._tag === "DatabaseUnusable" && error.reason === "database-unreachable"

/**
 * A database that an operator migrates and grants rights in: this service only looks whether that was
 * done. One that is away is waited for, and one that is read-only for now, as in a failover, in
 * `/readyz`.
 */
const external = (settings: SettingsShape, connection: ConnectionParameters) =>
  Layer.provideMerge(
    RotatedCredentials,
    startWithin(checked(settings, connection), {
      what: "the database",
      time: settings.startTimeout,
      isPassing,
    }),
  )

const checked = (settings: SettingsShape, connection: ConnectionParameters) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { warnings } = yield* Database.ConnectionSource
      yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
      yield* Effect.catchIf(
        requireReady,
        isReadOnly,
        ({ message }) => Effect.logWarning(message),
      )
    }),
  ).pipe(
    Layer.provide(Migrator.layer),
    Layer.provideMerge(client(settings, connection)),
  )

/** Says where the embedded server is, and ends the service with it. */
const watchEmbedded = Layer.effectDiscard(Effect.gen(function* () {
  const { connection, elsewhere, ended } = yield* EmbeddedPostgres
  yield* Effect.logInfo(
    `Embedded PostgreSQL: psql -h '${connection.host}' -U ${connection.username}`,
  )
  yield* Effect.forEach(
    Option.toArray(elsewhere),
    (directory) => Effect.logInfo(`Data is kept outside of DATA_DIR, in ${directory}`),
  )
  const { fail } = yield* Fatal
  yield* ended.pipe(
    Effect.onExit((exit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
        ? Effect.void
        : fail(Exit.isFailure(exit) ? reasonOf(exit.cause) : "The embedded PostgreSQL has ended.")
    ),
    Effect.forkScoped,
  )
}))

/** A database of the service's own, which it migrates itself. */
const embedded = (settings: SettingsShape) =>
  Layer.effectDiscard(Migrator.use((migrator) => migrator.up())).pipe(
    Layer.provide(Migrator.layer),
    Layer.provideMerge(
      Layer.unwrap(
        EmbeddedPostgres.use(({ connection }) => Effect.succeed(client(settings, connection))),
      ),
    ),
    Layer.provide(watchEmbedded),
    Layer.provide(EmbeddedPostgres.layer({ dataDir: settings.dataDir, durable: true })),
  )

type External = ReturnType<typeof external>
type Embedded = ReturnType<typeof embedded>

const database = (
  settings: SettingsShape,
): Layer.Layer<
  Layer.Success<External>,
  Layer.Error<External> | Layer.Error<Embedded>,
  Fatal
> =>
  Option.match(settings.database, {
    onNone: () => embedded(settings),
    onSome: ({ parameters }) => external(settings, parameters),
  })

const Keys = Layer.unwrap(
  Effect.gen(function* () {
    const { apiKeys, host, dataDir } = yield* Settings
    if (Option.isNone(apiKeys)) {
      return ApiKeys.layer(yield* developmentKeys({ host, dataDir, announce }))
    }
    return (yield* cameThroughPipe).apiKeys
      ? ApiKeys.layer(apiKeys.value)
      : ApiKeys.layerReloading(apiKeys.value, loadApiKeys)
  }),
).pipe(Layer.provide(NodeServices.layer))

/** Threads have the same keys and the same files; the first one logs what becomes of them. */
const Quiet = Layer.succeed(References.MinimumLogLevel, "None")
const KeysQuiet = Layer.provide(Keys, Quiet)
const RotatedCredentialsQuiet = Layer.provide(RotatedCredentials, Quiet)

const repositories = ({ rotationGrace, rotationOnReuse }: SettingsShape) =>
  Layer.mergeAll(
    UserRepository.layer,
    RefreshTokenRepository.layer,
    LoginAttemptRepository.layer,
  ).pipe(
    Layer.provide(Layer.succeed(RotationDefaults, {
      graceSeconds: Duration.toSeconds(rotationGrace),
      onReuse: rotationOnReuse,
    })),
  )

/**
 * Two connections, one for a call and one for the schedule. More calls at once take turns on them,
 * one batch of rows each.
 */
const MaintenancePool = Layer.provide(
  Maintenance.layer,
  closingWithin("The pool of connections for clean-ups", Database.layerSecondPool("clean-ups", 2)),
)

/** Only where there are some. */
const replicas = (settings: SettingsShape) =>
  Option.match(settings.databaseRead, {
    onNone: () => Layer.empty,
    onSome: ({ parameters }) =>
      closingWithin(
        "The pool of connections to replicas",
        Replicas.layer({
          connection: parameters,
          maxConnections: settings.databasePoolSize,
          statementTimeout: settings.statementTimeout,
          lockTimeout: settings.lockTimeout,
          idleInTransactionTimeout: settings.idleInTransactionTimeout,
          reload: loadReplicas.pipe(
            Effect.map(Option.map(({ parameters }) => parameters)),
            Effect.provide(NodeServices.layer),
          ),
        }),
      ),
  })

/** Only where it is asked for. */
const retention = (settings: SettingsShape) =>
  Option.match(settings.retentionInterval, {
    onNone: () => Layer.empty,
    onSome: (interval) =>
      Retention.layer({
        interval,
        tokenDays: settings.retentionTokenDays,
        attemptDays: settings.retentionAttemptDays,
      }),
  })

/** Tells where the service listens, has threads join, and begins the stop of all. */
const startup = (settings: SettingsShape, threadCount: number) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { address } = yield* HttpServer.HttpServer
      const readiness = yield* Readiness
      const timeToClose = yield* TimeToClose
      const threads = yield* Threads
      yield* Effect.addFinalizer(() =>
        Effect.logInfo("Shutting down; waiting for in-flight requests").pipe(
          // Its time begins to run.
          Effect.andThen(timeToClose),
          Effect.andThen(readiness.stop),
          Effect.andThen(threads.stop),
        )
      )
      yield* threads.start(address)
      yield* Effect.logInfo(
        `Listening on ${HttpServer.formatAddress(address)}` +
          (threadCount > 1 ? `, in ${threadCount} threads` : ""),
      )
      yield* reportStart(settings, {
        threads: threadCount,
        keys: (yield* ApiKeys).names(),
        patches: patches.describe(),
      })
    }),
  )

const serverOptions = (settings: SettingsShape): Server.ServerOptions => ({
  host: settings.host,
  port: settings.port,
  bodyLimit: settings.requestBodyLimit,
  headerLimit: settings.requestHeaderLimit,
  maxConnections: settings.maxConnections,
  requestTimeout: settings.requestTimeout,
  responseTimeout: settings.responseTimeout,
  keepAliveTimeout: settings.keepAliveTimeout,
  maxRequestsInFlight: settings.maxRequestsInFlight,
  answerTimeout: settings.answerTimeout,
  shutdownDelay: settings.shutdownDelay,
  accessLog: settings.accessLog,
  adminPort: settings.adminPort,
  // The rest is for closing connections, and the embedded server.
  shutdownTimeout: Duration.times(settings.shutdownTimeout, 0.9),
  propagators: settings.telemetry.propagators,
})

/** When what was to be closed in a stop has to be, as a share of the time for the stop. */
const closing = ({ shutdownTimeout }: SettingsShape, share: number) =>
  Layer.sync(TimeToClose, () => makeCountdown(Duration.times(shutdownTimeout, share)))

/** The service as the settings ask for it, for as long as its scope is open. */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const all = yield* Settings
    const warnings = [all.database, all.databaseRead].flatMap(Option.toArray)
      .flatMap(({ warnings }) => warnings)
    yield* Effect.forEach(
      [...warnings, ...all.telemetry.warnings, ...describeUnknown(environmentNames())],
      (warning) => Effect.logWarning(warning),
    )
    const limitOnOpenFiles = yield* openFilesLimit
    const fitted = fitConnections(all, limitOnOpenFiles)
    yield* Effect.forEach(Option.toArray(fitted.warning), (warning) => Effect.logWarning(warning))
    const count = countThreads(fitted.settings, Deno.build.os)
    const settings = shareOf(fitted.settings, 0, count)
    return Layer.mergeAll(
      startup(fitted.settings, count),
      retention(settings),
      readinessWatch.layer,
      buildMetric.layer(buildInfo()),
    ).pipe(
      Layer.provide(
        Server.layer({ ...serverOptions(settings), sharing: count > 1 ? "first" : undefined }),
      ),
      Layer.provide([
        repositories(settings),
        replicas(settings),
        MaintenancePool,
        ReadinessLayer,
        Keys,
        count > 1 ? metricsOfThreads(0, count) : Metrics.layer,
        Threads.layer(count),
      ]),
      Layer.provide(database(settings)),
      Layer.provide([closing(all, 0.95), processMetrics.layer(limitOnOpenFiles)]),
    )
  }),
)

/** A further thread of the service, which the first one started. */
export const layerOfThread = ({ index, count, port, embedded }: ThreadStart) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const fitted = fitConnections(yield* Settings, yield* openFilesLimit)
      const settings = shareOf(fitted.settings, index, count)
      const readiness = Layer.effectDiscard(
        Readiness.use(({ stop }) => Effect.addFinalizer(() => stop)),
      )
      const connection = Option.match(settings.database, {
        onSome: ({ parameters }) => Effect.succeed(parameters),
        onNone: () => Effect.fromNullishOr(embedded),
      })
      const pool = client(settings, yield* connection)
      return Layer.merge(readiness, processMetrics.layerOfThread).pipe(
        Layer.provide(Server.layer({
          ...serverOptions(settings),
          port,
          sharing: "further",
          // The first thread's alone.
          adminPort: Option.none(),
        })),
        Layer.provide([
          repositories(settings),
          Layer.provide(replicas(settings), Quiet),
          MaintenancePool,
          ReadinessLayer,
          KeysQuiet,
          metricsOfThreads(index, count),
        ]),
        Layer.provide(
          Option.isSome(settings.database)
            ? Layer.provideMerge(RotatedCredentialsQuiet, pool)
            : pool,
        ),
        // Earlier than the first thread, which waits for this one.
        Layer.provide(closing(settings, 0.93)),
      )
    }),
  )
