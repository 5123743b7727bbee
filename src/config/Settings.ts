/**
 * What the environment asks for, read once at the start and as a whole: all that is wrong with it is
 * reported together, and from there on the program knows settings, not variables.
 */
import {
  Array,
  ConfigProvider,
  Context,
  Effect,
  FileSystem,
  Layer,
  Option,
  Result,
  Struct,
} from "effect"
import * as DatabaseUrl from "../database/url/DatabaseUrl.ts"
import { definitions, variables } from "./Config.ts"
import { ConfigInvalid } from "./ConfigInvalid.ts"
import { isPipe, namesOf, read, type Variable } from "./ConfigVariable.ts"
import * as Telemetry from "./telemetry/TelemetrySettings.ts"
import * as TelemetryVariables from "./telemetry/variables.ts"

type Value<V> = V extends Variable<infer A> ? A : never
type Values = { readonly [Name in keyof typeof definitions]: Value<(typeof definitions)[Name]> }

export interface SettingsShape extends
  Omit<
    Values,
    "databaseUrl" | "databaseReadUrl" | "databaseCaFile" | "logFormat" | "otlpEndpoint"
  > {
  /** The external database; none where the embedded one is to be used. */
  readonly database: Option.Option<DatabaseUrl.DatabaseUrl>
  /** The replicas that reads are answered by; none where they are not. */
  readonly databaseRead: Option.Option<DatabaseUrl.DatabaseUrl>
  readonly logFormat: "json" | "logfmt" | "pretty"
  readonly telemetry: Telemetry.TelemetrySettings
}

/** The variables of this process that the service reads, and no others; empty ones included. */
export const environment = (): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromEnvRecord(
    Object.fromEntries(
      [...variables.flatMap(namesOf), ...Object.keys(TelemetryVariables.refused)]
        .map((name) => [name, Deno.env.get(name)]),
    ),
    // Left to its default, an empty DATABASE_URL would silently mean the embedded database.
    { preserveEmptyStrings: true },
  )

const invalid = (...problems: Array.NonEmptyArray<string>) => new ConfigInvalid({ problems })

const readDatabase = Effect.fnUntraced(function* (
  { databaseUrl, databaseCaFile }: Pick<Values, "databaseUrl" | "databaseCaFile">,
) {
  if (Option.isSome(databaseUrl)) {
    const caFile = Option.getOrUndefined(databaseCaFile)
    return yield* DatabaseUrl.parse(databaseUrl.value, { caFile }).pipe(
      Effect.asSome,
      Effect.mapError(({ message }) => invalid(message)),
    )
  }
  if (Option.isNone(databaseCaFile)) return Option.none()
  return yield* invalid("DATABASE_CA_FILE has no effect without DATABASE_URL; unset it.")
})

const readReplicas = Effect.fnUntraced(function* (
  { databaseReadUrl, databaseUrl, databaseCaFile }: Pick<
    Values,
    "databaseReadUrl" | "databaseUrl" | "databaseCaFile"
  >,
) {
  if (Option.isNone(databaseReadUrl)) return Option.none()
  if (Option.isNone(databaseUrl)) {
    return yield* invalid("DATABASE_READ_URL has no effect without DATABASE_URL; unset it.")
  }
  const parsed = yield* DatabaseUrl.parse(databaseReadUrl.value, {
    variable: "DATABASE_READ_URL",
    caFile: Option.getOrUndefined(databaseCaFile),
    defaultTarget: "prefer-standby",
  }).pipe(Effect.mapError(({ message }) => invalid(message)))
  if (parsed.parameters.pooler) {
    return yield* invalid(
      "DATABASE_READ_URL has pgbouncer=true, behind which one statement may be another replica's " +
        "than the next; name the replicas themselves.",
    )
  }
  return Option.some(parsed)
})

interface Read extends Struct.Lambda {
  <A>(variable: Variable<A>): Effect.Effect<A, ConfigInvalid, FileSystem.FileSystem>
  readonly "~lambda.out": Effect.Effect<
    Value<this["~lambda.in"]>,
    ConfigInvalid,
    FileSystem.FileSystem
  >
}

/** Reads OpenTelemetry's variables; fails with a sentence for each of them that is wrong. */
const readTelemetry = Effect.fnUntraced(function* (
  base: Values["otlpEndpoint"],
  provider: ConfigProvider.ConfigProvider,
) {
  const readAll = Struct.lambda<Read>((variable) => read(variable, provider))
  const { general, all, traces, metrics, logs } = TelemetryVariables.definitions
  const results = yield* Effect.all({
    general: Effect.all(Struct.map(general, readAll), { mode: "result" }),
    all: Effect.all(Struct.map(all, readAll), { mode: "result" }),
    traces: Effect.all(Struct.map(traces, readAll), { mode: "result" }),
    metrics: Effect.all(Struct.map(metrics, readAll), { mode: "result" }),
    logs: Effect.all(Struct.map(logs, readAll), { mode: "result" }),
  })
  const groups: ReadonlyArray<Readonly<Record<string, Result.Result<unknown, ConfigInvalid>>>> =
    Object.values(results)
  const failures = Array.getFailures([
    ...groups.flatMap((group) => Object.values(group)),
    ...yield* Telemetry.refuseOthers(provider),
  ])
  const problems = failures.flatMap((failure) => failure.problems)
  if (Array.isArrayNonEmpty(problems)) return yield* invalid(...problems)
  const written = yield* Effect.fromResult(Result.all({
    general: Result.all(results.general),
    all: Result.all(results.all),
    traces: Result.all(results.traces),
    metrics: Result.all(results.metrics),
    logs: Result.all(results.logs),
  }))
  return yield* Telemetry.resolve(written, base)
})

const defaultLogFormat = () => Deno.stdout.isTerminal() ? "pretty" : "json"

/** Reads all variables; fails with one sentence for each of them that is wrong. */
export const load = Effect.fnUntraced(function* (
  provider: ConfigProvider.ConfigProvider = environment(),
): Effect.fn.Return<SettingsShape, ConfigInvalid, FileSystem.FileSystem> {
  const results = yield* Effect.all(
    Struct.map(definitions, Struct.lambda<Read>((variable) => read(variable, provider))),
    { mode: "result" },
  )
  const { databaseUrl, databaseReadUrl, databaseCaFile, otlpEndpoint, ...others } = results
  const database = yield* Effect.fromResult(Result.all({ databaseUrl, databaseCaFile })).pipe(
    Effect.flatMap(readDatabase),
    Effect.result,
  )
  const databaseRead = yield* Effect.fromResult(
    Result.all({ databaseReadUrl, databaseUrl, databaseCaFile }),
  ).pipe(Effect.flatMap(readReplicas), Effect.result)
  const telemetry = yield* Effect.fromResult(otlpEndpoint).pipe(
    // What is wrong with it is told once, below.
    Effect.orElseSucceed(Option.none),
    Effect.flatMap((base) => readTelemetry(base, provider)),
    Effect.result,
  )
  const failures = Array.getFailures([database, databaseRead, ...Object.values(results), telemetry])
  const problems = Array.dedupe(failures.flatMap((failure) => failure.problems))
  if (Array.isArrayNonEmpty(problems)) return yield* invalid(...problems)
  const values = yield* Effect.fromResult(
    Result.all({ ...others, database, databaseRead, telemetry }),
  )
  return { ...values, logFormat: Option.getOrElse(values.logFormat, defaultLogFormat) }
})

/** How to log, also where the environment is wrong: what cannot be used is as if it were not set. */
export const loadLogging = Effect.gen(function* () {
  const orElse = <A>(variable: Variable<A>, fallback: A) =>
    Effect.suspend(() => read(variable, environment())).pipe(
      Effect.catchCause(() => Effect.succeed(fallback)),
    )
  const logFormat = yield* orElse(definitions.logFormat, Option.none())
  const logLevel = yield* orElse(definitions.logLevel, "Info")
  return { logFormat: Option.getOrElse(logFormat, defaultLogFormat), logLevel }
})

/** Whether the value of each of these came through a pipe, which cannot be read again. */
export const cameThroughPipe = Effect.suspend(() =>
  Effect.all({
    apiKeys: isPipe(definitions.apiKeys, environment()),
    databaseUrl: isPipe(definitions.databaseUrl, environment()),
    databaseReadUrl: isPipe(definitions.databaseReadUrl, environment()),
  })
)

/** The API keys as their variable or its file has them now. */
export const loadApiKeys = Effect.suspend(() => read(definitions.apiKeys, environment())).pipe(
  Effect.map(Option.getOrElse(() => [])),
)

/** The external database as the variables and the files that they name have it now. */
export const loadDatabase = Effect.suspend(() =>
  Effect.all({
    databaseUrl: read(definitions.databaseUrl, environment()),
    databaseCaFile: read(definitions.databaseCaFile, environment()),
  })
).pipe(Effect.flatMap(readDatabase))

/**
 * The replicas for reads as the variables and the files that they name have them now; none where one of
 * these came through a pipe.
 */
export const loadReplicas = Effect.gen(function* () {
  const pipes = yield* cameThroughPipe
  if (pipes.databaseUrl || pipes.databaseReadUrl) return Option.none()
  const variables = yield* Effect.all({
    databaseReadUrl: read(definitions.databaseReadUrl, environment()),
    databaseUrl: read(definitions.databaseUrl, environment()),
    databaseCaFile: read(definitions.databaseCaFile, environment()),
  })
  return yield* readReplicas(variables)
})

/** The settings of this process. */
export class Settings
  extends Context.Service<Settings, SettingsShape>()("latchkey/config/Settings") {
  static readonly layer: Layer.Layer<Settings, ConfigInvalid, FileSystem.FileSystem> = Layer.effect(
    Settings,
    load(),
  )
}
