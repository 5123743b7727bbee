/**
 * The whole examination: each look by itself, in an order in which what fails explains what is skipped.
 */
import { NodeServices } from "@effect/platform-node"
import type { PgClient } from "@effect/sql-pg"
import { ConfigProvider, Duration, Effect, Exit, Layer, Option, type Scope } from "effect"
import { reasonOf } from "../background/ChangeLog.ts"
import { load, type SettingsShape } from "../config/Settings.ts"
import type { ConnectionParameters } from "../database/ConnectionParameters.ts"
import * as Database from "../database/Database.ts"
import { DatabaseUnreachable } from "../database/DatabaseUnreachable.ts"
import { inspectUsability } from "../database/requireUsable.ts"
import { EmbeddedPostgres } from "../embedded/EmbeddedPostgres.ts"
import * as Existing from "../embedded/existing.ts"
import { Migrator } from "../migrator/Migrator.ts"
import { type Check, run, skip } from "./Check.ts"
import * as Connection from "./connection.ts"
import * as Environment from "./environment.ts"
import { error, type Finding, ok, type Seen } from "./Finding.ts"
import * as Schema from "./schema.ts"
import * as Server from "./server.ts"
import * as Tables from "./tables.ts"

const reachability = { group: "connection", name: "database" } as const

/** The looks that need a connection, in their order. */
const afterConnecting = [
  { group: "connection", name: "tls" },
  { group: "connection", name: "clock" },
  ...["postgres-version", "session-settings", "default-settings", "durability", "connections"]
    .map((name) => ({ group: "server", name } as const)),
  { group: "server", name: "wraparound" },
  ...["rights", "row-security", "writable", "excess-rights", "migrations", "indexes", "drift"]
    .map((name) => ({ group: "schema", name } as const)),
  { group: "tables", name: "dead-rows" },
  { group: "tables", name: "retention" },
] as const

/** The looks at the rows, which make no sense where tables or rights are missing. */
const ofRows = afterConnecting.filter(({ group }) => group === "tables")

const runAll = <R>(checks: ReadonlyArray<Check<R>>) =>
  Effect.map(Effect.forEach(checks, run), (found) => found.flat())

/** Each by itself, so that migrations that cannot be read are a finding of each. */
const withMigrator = <R>(
  check: Check<R | Migrator>,
): Check<Exclude<R, Migrator> | PgClient.PgClient> => ({
  ...check,
  look: Effect.provide(check.look, Migrator.layer),
})

interface Patient {
  readonly connection: ConnectionParameters
  /** What is said of the way to it. */
  readonly where: string
}

/** How to reach the embedded server, which is started for the while where nobody runs it. */
const embedded = Effect.fnUntraced(function* (
  dataDir: string,
): Effect.fn.Return<Patient, { readonly message: string }, Scope.Scope> {
  if (!(yield* Existing.exists(dataDir))) {
    return yield* Effect.fail({
      message:
        `DATABASE_URL is not set, and there is no embedded database under "${dataDir}" that ` +
        "this user can see.",
    })
  }
  return yield* Layer.build(EmbeddedPostgres.layer({ dataDir, durable: true })).pipe(
    Effect.flatMap((services) =>
      Effect.provideContext(
        EmbeddedPostgres.use(({ connection }) =>
          Effect.succeed({
            connection,
            where: "The embedded PostgreSQL answers; it was started to be looked at.",
          })
        ),
        services,
      )
    ),
    Effect.catchTag("DataDirInUse", (inUse) =>
      Effect.flatMap(
        Existing.connectionOfRunning(dataDir),
        Option.match({
          onNone: () => Effect.fail(inUse),
          onSome: (connection) =>
            Effect.succeed({
              connection,
              where: `The embedded PostgreSQL of process ${inUse.pid} answers.`,
            }),
        }),
      )),
  )
})

const external = (connection: ConnectionParameters): Patient => ({
  connection,
  where: "The database answers, and lets the role in.",
})

const clientOf = (settings: SettingsShape, connection: ConnectionParameters) =>
  Database.layer({
    connection,
    // One for the looks, one more for a session in which schemas are compared.
    maxConnections: 2,
    statementTimeout: settings.statementTimeout,
    lockTimeout: settings.lockTimeout,
    idleInTransactionTimeout: settings.idleInTransactionTimeout,
  })

/** All that is seen over a connection. */
const throughConnection = Effect.fnUntraced(function* (settings: SettingsShape, patient: Patient) {
  const { connection } = patient
  const isPooled = connection.pooler === true
  const before = yield* runAll([
    Connection.tls(connection),
    Connection.clock,
    Server.version,
    Server.sessionSettings,
    Server.defaults(connection),
    Server.durability,
    Server.capacity(settings, connection),
    Server.wraparound,
  ])
  const usability = yield* Effect.exit(inspectUsability)
  if (Exit.isFailure(usability)) {
    const failed = run({
      group: "schema",
      name: "rights",
      look: Effect.fail({ message: reasonOf(usability.cause) }),
    })
    const others = afterConnecting.filter(({ group, name }) =>
      group === "tables" || group === "schema" && name !== "rights"
    )
    return [...before, ...yield* failed, ...skip(others, "The catalogue could not be read.")]
  }
  const found = usability.value
  const schema = yield* runAll([
    ...Schema.usability(found),
    ...Option.isSome(settings.database) ? [Schema.excess] : [],
    withMigrator(Schema.migrations(found)),
    withMigrator(Schema.indexes),
    withMigrator(Schema.drift(found, isPooled)),
  ])
  const canRead = found.missing.length === 0 &&
    found.problems.every(({ reason }) => reason === "database-read-only")
  const tables = canRead
    ? yield* runAll([Tables.deadRows, Tables.retention(settings)])
    : skip(ofRows, "Tables or rights are missing.")
  return [...before, ...schema, ...tables]
})

const unreachable = (problem: unknown): Seen =>
  problem instanceof DatabaseUnreachable ? Connection.unreachable(problem) : error(
    problem instanceof Error || typeof problem === "object" && problem !== null &&
        "message" in problem
      ? String(problem.message)
      : String(problem),
    "Set DATABASE_URL, or run `deno task start` once as the user who looks.",
  )

const ofDatabase = Effect.fnUntraced(function* (settings: SettingsShape) {
  const reached = yield* Option.match(settings.database, {
    onSome: ({ parameters }) => Effect.succeed(external(parameters)),
    onNone: () => embedded(settings.dataDir),
  }).pipe(
    Effect.flatMap((patient) =>
      Effect.map(
        Layer.build(clientOf(settings, patient.connection)),
        (context) => ({ patient, context }),
      )
    ),
    Effect.timeoutOrElse({
      duration: Duration.seconds(60),
      orElse: () => Effect.fail({ message: "The database did not answer within a minute." }),
    }),
    Effect.result,
  )
  if (reached._tag === "Failure") {
    const finding = run({ ...reachability, look: Effect.succeed(unreachable(reached.failure)) })
    return [...yield* finding, ...skip(afterConnecting, "There is no connection.")]
  }
  const { patient, context } = reached.success
  const answered = run({ ...reachability, look: Effect.succeed(ok(patient.where)) })
  return [
    ...yield* answered,
    ...yield* Effect.provideContext(throughConnection(settings, patient), context),
  ]
})

/**
 * Examines the environment and the database that it names, as a service there would use it. Changes
 * nothing, and never fails: what cannot be looked at is a finding.
 */
export const examine = Effect.fn("Doctor.examine")(
  function* (environment: Readonly<Record<string, string>>) {
    // Left to its default, an empty DATABASE_URL would silently mean the embedded database.
    const provider = ConfigProvider.fromEnvRecord({ ...environment }, {
      preserveEmptyStrings: true,
    })
    const loaded = yield* Effect.result(load(provider))
    const names = Environment.variableNames(environment)
    if (loaded._tag === "Failure") {
      const found = yield* runAll([Environment.variablesUsable(Option.some(loaded.failure)), names])
      const rest = [...Environment.ofSettings, reachability, ...afterConnecting]
      return [...found, ...skip(rest, "The environment cannot be used.")]
    }
    const settings = loaded.success
    const found: ReadonlyArray<Finding> = yield* runAll([
      Environment.variablesUsable(Option.none()),
      names,
      Environment.apiKeys(settings),
      Environment.openFiles(settings),
    ])
    return [...found, ...yield* ofDatabase(settings)]
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer),
)
