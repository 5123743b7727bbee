/**
 * `deno task test:failover`: two services on a cluster that Patroni and etcd keep, to which one thing after
 * the other happens under load. Fails when a write that was acknowledged is lost or carried out twice,
 * when a token is valid that must not be, and when a service does not follow by itself.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { chosen } from "../../../bench/chosen.ts"
import denoJson from "../../../deno.json" with { type: "json" }
import * as Database from "../../../src/database/Database.ts"
import { grant } from "../../../src/migrator/Grant.ts"
import { Migrator } from "../../../src/migrator/Migrator.ts"
import { runMain } from "../../../src/process/runMain.ts"
import { type Client, makeClient } from "../../faults/support/Client.ts"
import { query } from "../../faults/support/Cluster.ts"
import type { Journey } from "../../faults/support/Ledger.ts"
import * as ServiceProcess from "../../faults/support/ServiceProcess.ts"
import * as Cluster from "./Cluster.ts"
import { Failure } from "./Failure.ts"
import { type Fault, faults } from "./faults.ts"
import * as Load from "./Load.ts"
import { type Outcome, problemsOf, render } from "./report.ts"
import { verify } from "./verify.ts"
import * as Watch from "./watch.ts"

const names = faults.map(({ name }) => name)

const flags = {
  faults: Flag.String("faults").pipe(
    Flag.withDescription(`What happens, separated by commas: ${names.join(", ")}`),
    Flag.withDefault(names.join(",")),
  ),
  logs: Flag.String("logs").pipe(
    Flag.withDescription(
      "A directory to write logs to: of each service a file for each fault, and of each node",
    ),
    Flag.withDefault(""),
  ),
}

type Flags = Command.Command.Config.Infer<typeof flags>

const services = 2
const role = "latchkey"

/** Acknowledged writes of each service before a fault, and after the service has followed. */
const writesAround = 100

const connectionOf = ({ port }: Cluster.Node, database: string) => ({
  host: "127.0.0.1",
  port,
  username: "postgres",
  database,
})

const migrate = Effect.fnUntraced(function* (primary: Cluster.Node) {
  yield* query(connectionOf(primary, "postgres"))(
    `CREATE ROLE ${role} LOGIN`,
    `CREATE DATABASE ${role}`,
  )
  const connection = connectionOf(primary, role)
  yield* Migrator.use((migrator) => migrator.up()).pipe(
    Effect.andThen(grant(role)),
    Effect.provide(Migrator.layer),
    Effect.provide(Database.layer({ connection })),
  )
})

interface Stage {
  readonly cluster: Cluster.Cluster
  readonly running: ReadonlyArray<ServiceProcess.ServiceProcess>
  readonly client: Client
  /** Begins every address. */
  readonly name: string
  /** All that was acknowledged in faults before. */
  readonly journeys: Array<Journey>
}

const makeStage = Effect.gen(function* () {
  const cluster = yield* Cluster.make
  yield* migrate(yield* cluster.untilPrimary())
  const running = yield* Effect.replicateEffect(
    ServiceProcess.start({ DATABASE_URL: cluster.urlFor(role, role) }),
    services,
  )
  const client = yield* makeClient
  const stage: Stage = {
    cluster,
    running,
    client,
    name: crypto.randomUUID().slice(0, 8),
    journeys: [],
  }
  return stage
})

/** Has one thing happen under load, and looks what came of it. */
const happen = Effect.fnUntraced(function* (
  { cluster, running, client, name, journeys }: Stage,
  fault: Fault,
  logs: string,
) {
  const ports = running.map(({ port }) => port)
  const watched = yield* Watch.start(client, running)
  const load = yield* Load.start(client, ports, name)
  let followed = 0
  const untilFollowed = Effect.fnUntraced(function* (other?: Cluster.Node) {
    yield* cluster.untilPrimary(other)
    const since = performance.now()
    yield* load.untilAcknowledged(1)
    followed = (performance.now() - since) / 1000
    yield* load.untilAcknowledged(writesAround)
  })
  const primary = yield* cluster.untilPrimary()
  yield* Effect.gen(function* () {
    yield* load.untilAcknowledged(writesAround)
    yield* fault.run({ cluster, load, primary, untilFollowed })
    yield* load.untilAcknowledged(writesAround)
    yield* cluster.untilWhole
    yield* load.untilAcknowledged(writesAround)
  }).pipe(
    Effect.onExit(() =>
      logs === "" ? Effect.void : Effect.flatMap(watched, (seen) =>
        Effect.promise(async () => {
          await Deno.mkdir(logs, { recursive: true })
          await Promise.all(seen.logs.map((log, index) =>
            Deno.writeTextFile(`${logs}/${fault.name}-${index + 1}.log`, log)
          ))
        }))
    ),
  )
  const seen = yield* load.stop
  journeys.push(...seen.journeys)
  const outcome: Outcome = {
    title: fault.title,
    seen,
    watched: yield* watched,
    followed,
    found: yield* verify({
      primary: connectionOf(yield* cluster.untilPrimary(), role),
      client,
      ports,
      journeys,
      run: name,
    }),
  }
  return outcome
}, Effect.scoped)

/** Keeps what Patroni and PostgreSQL have written, beside what the services have. */
const keepLogs = ({ nodes }: Cluster.Cluster, directory: string) =>
  Effect.forEach(
    nodes,
    ({ name, machine }) =>
      Effect.promise(() =>
        Deno.copyFile(`${machine.directory}/patroni.log`, `${directory}/node-${name}.log`)
      ),
    { discard: true },
  )

const failover = Effect.fnUntraced(function* ({ logs, ...options }: Flags) {
  yield* Cluster.requirePackages
  const wanted = yield* chosen(options.faults, names)
  const stage = yield* makeStage
  const outcomes: Array<Outcome> = []
  const all = Effect.forEach(
    faults.filter(({ name }) => wanted.includes(name)),
    (fault) =>
      Console.error(`${fault.title} …`).pipe(
        Effect.andThen(happen(stage, fault, logs)),
        Effect.map((outcome) => outcomes.push(outcome)),
      ),
  )
  const exit = yield* Effect.exit(all)
  if (logs !== "") yield* keepLogs(stage.cluster, logs)
  yield* Console.log(render(outcomes))
  const problems = outcomes.flatMap(problemsOf)
  if (problems.length > 0) return yield* new Failure({ message: problems.join("\n") })
  yield* exit
  yield* Console.log(`${stage.journeys.length} users, and nothing of theirs was lost`)
})

const command = Command.make(
  "test:failover",
  flags,
  (options) => Effect.scoped(failover(options)),
).pipe(Command.withDescription("Let a cluster of PostgreSQL fail in all ways, under load"))

Command.runWith(command, { version: denoJson.version })(Deno.args).pipe(
  Effect.provide(NodeServices.layer),
  runMain,
)
