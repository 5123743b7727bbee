/**
 * `deno task bench:growth`: what a request costs while the tables grow, and how PostgreSQL goes
 * about it. Each size has a database and a service of its own, so that rounds can interleave them.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import denoJson from "../../deno.json" with { type: "json" }
import { runMain } from "../../src/process/runMain.ts"
import { chosen } from "../chosen.ts"
import { cache, contestants } from "../contestants.ts"
import { cleanUp, type Size } from "../data.ts"
import { Database } from "../Database.ts"
import { Failure } from "../Failure.ts"
import { Generator } from "../Generator.ts"
import type { Operation } from "../operations.ts"
import * as Sections from "../sections.ts"
import * as Server from "../Server.ts"
import { fill, requireSpace } from "./fill.ts"
import { all, prepare, requestsOf } from "./operations.ts"
import * as Plans from "./plans.ts"
import * as Report from "./report.ts"
import * as GrowthServer from "./server.ts"

const connections = 64

const names = all.map(({ name }) => name)

const flags = {
  sizes: Flag.String("sizes").pipe(
    Flag.withDescription("Rows of each table, separated by commas; at least 10000"),
    Flag.withDefault("10000,1000000,10000000"),
  ),
  rounds: Flag.Int("rounds").pipe(
    Flag.withDescription("How often each operation is measured"),
    Flag.withDefault(3),
  ),
  operations: Flag.String("operations").pipe(
    Flag.withDescription(`Operations, separated by commas: ${names.join(", ")}`),
    Flag.withDefault(names.join(",")),
  ),
  output: Flag.String("output").pipe(
    Flag.withDescription("Where to write the results"),
    Flag.withDefault(Sections.results),
  ),
}

type Flags = Command.Command.Config.Infer<typeof flags>

/** A filled database, and how to work on it. */
const makeStage = Effect.fnUntraced(function* (server: URL, rows: number) {
  const database = yield* Database.make(server)
  const size: Size = { users: rows, tokens: rows, attempts: rows }
  const startedAt = performance.now()
  yield* Effect.provideService(fill(size), Database, database)
  const seconds = (performance.now() - startedAt) / 1000
  yield* Console.error(`Filled three tables with ${rows} rows each in ${seconds.toFixed(0)} s`)
  return { rows, size, database }
})

type Stage = Effect.Success<ReturnType<typeof makeStage>>

const load = Effect.fnUntraced(function* (
  { size, database }: Stage,
  server: Server.Server,
  operation: Operation,
  run: number,
  { connections, requests }: { readonly connections: number; readonly requests: number },
) {
  const generator = yield* Generator
  yield* database.run([...prepare(operation, size, run, requests), "CHECKPOINT"])
  return yield* generator.exactly({
    operation: operation.name,
    port: server.port,
    connections,
    requests,
    size,
    run,
  })
})

const growth = Effect.fnUntraced(function* (options: Flags) {
  const rows = options.sizes.split(",").map(Number)
  if (!rows.every((count) => Number.isInteger(count) && count >= 10_000)) {
    return yield* new Failure({ message: "--sizes takes whole numbers from 10000, such as 10000" })
  }
  const wanted = yield* chosen(options.operations, names)
  const operations = all.filter(({ name }) => wanted.includes(name))
  yield* requireSpace(rows.reduce((sum, count) => sum + count, 0))
  const postgres = yield* GrowthServer.start
  const stages = yield* Effect.forEach(rows, (count) => makeStage(postgres, count))
  let runs = 0

  const measure = Effect.gen(function* () {
    const latchkey = yield* contestants["latchkey"]!
    const servers = yield* Effect.forEach(
      stages,
      ({ rows, database }) => Server.start({ ...latchkey, name: `latchkey-${rows}` }, database.url),
    )
    const samples: Array<Report.Sample> = []
    // The first round warms the services up.
    for (let round = 0; round <= options.rounds; round++) {
      for (const operation of operations) {
        const requests = requestsOf(operation)
        for (let k = 0; k < stages.length; k++) {
          // Another order in each round, so that none is always behind the same neighbour.
          const n = (k + round) % stages.length
          const loaded = (connections: number, requests: number) =>
            load(stages[n]!, servers[n]!, operation, ++runs, { connections, requests })
          const many = requests.many === 0 ? undefined : yield* loaded(connections, requests.many)
          const one = yield* loaded(1, requests.one)
          if (round === 0) continue
          const { rows } = stages[n]!
          const rate = many?.requestsPerSecond
          samples.push({ operation: operation.name, rows, p50: one.p50, rate })
          yield* Console.error(
            `round ${round} of ${options.rounds}: ${operation.name}, ${rows} rows: ` +
              `${rate?.toFixed(0) ?? "–"} requests/s, one by one ${one.p50.toFixed(2)} ms`,
          )
        }
      }
      yield* Effect.forEach(stages, ({ database }) => database.run(cleanUp), { concurrency: 1 })
    }
    return samples
  })

  const samples = yield* Effect.scoped(measure)
  const plans = new Map<number, ReadonlyMap<string, Plans.Plans>>()
  for (const { rows, size, database } of stages) {
    const found = yield* Effect.provideService(
      Plans.collect(operations, size, ++runs * 1_000),
      Database,
      database,
    )
    plans.set(rows, found)
  }
  const { text, steep } = Report.render({
    rows,
    operations,
    connections,
    rounds: options.rounds,
    version: stages[0]!.database.version,
    settings: stages[0]!.database.settings,
    samples,
    plans,
  })
  yield* Sections.write(options.output, text)
  if (steep.length > 0) {
    return yield* new Failure({ message: `Too much more with many rows: ${steep.join(", ")}` })
  }
})

const command = Command.make(
  "bench:growth",
  flags,
  (options) =>
    Effect.promise(() => Deno.mkdir(cache, { recursive: true })).pipe(
      Effect.andThen(growth(options)),
      Effect.scoped,
      Effect.provide(Generator.layer),
    ),
).pipe(Command.withDescription("Measure what requests cost while the tables grow"))

Command.runWith(command, { version: denoJson.version })(Deno.args).pipe(
  Effect.provide(NodeServices.layer),
  runMain,
)
