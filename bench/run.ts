/**
 * `deno task bench`: latchkey beside servers that others would write for the same routes.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, Layer, Result } from "effect"
import { Command, Flag } from "effect/cli"
import denoJson from "../deno.json" with { type: "json" }
import { runMain } from "../src/process/runMain.ts"
import * as Check from "./check.ts"
import { chosen } from "./chosen.ts"
import * as Conformance from "./conformance.ts"
import { cache, contestants } from "./contestants.ts"
import { fill, functions, type Size, sizeOf } from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { Generator } from "./Generator.ts"
import * as Machine from "./machine.ts"
import * as Measure from "./measure.ts"
import { operations } from "./operations.ts"
import * as Pgbench from "./pgbench.ts"
import { peakMemory } from "./processTree.ts"
import * as Report from "./report.ts"
import * as Sections from "./sections.ts"
import * as Server from "./Server.ts"

const contestantNames = [...Object.keys(contestants), "pgbench"]
const operationNames = operations.map(({ name }) => name)

const flags = {
  rounds: Flag.Int("rounds").pipe(
    Flag.withDescription("How often each operation of each contestant is measured"),
    Flag.withDefault(5),
  ),
  seconds: Flag.Finite("seconds").pipe(
    Flag.withDescription("How long a measurement takes; half of it with one connection"),
    Flag.withDefault(4),
  ),
  warmUp: Flag.Finite("warm-up").pipe(
    Flag.withDescription("Seconds of load before each measurement"),
    Flag.withDefault(1),
  ),
  connections: Flag.Int("connections").pipe(
    Flag.withDescription("Connections, beside the measurement with one"),
    Flag.withDefault(64),
  ),
  users: Flag.Int("users").pipe(
    Flag.withDescription(
      "Users in the database, with twice the tokens and five times the attempts",
    ),
    Flag.withDefault(100_000),
  ),
  only: Flag.String("only").pipe(
    Flag.withDescription(
      `Contestants, separated by commas: ${contestantNames.join(", ")}`,
    ),
    Flag.withDefault(contestantNames.join(",")),
  ),
  operations: Flag.String("operations").pipe(
    Flag.withDescription(
      `Operations, separated by commas: ${operationNames.join(", ")}`,
    ),
    Flag.withDefault(operationNames.join(",")),
  ),
  output: Flag.String("output").pipe(
    Flag.withDescription("Where to write the results"),
    Flag.withDefault(Sections.results),
  ),
  check: Flag.Boolean("check").pipe(
    Flag.withDescription("Only compare the work per request with expected.json"),
    Flag.withDefault(false),
  ),
  update: Flag.Boolean("update").pipe(
    Flag.withDescription("With --check: write expected.json anew"),
    Flag.withDefault(false),
  ),
}

type Flags = Command.Command.Config.Infer<typeof flags>

/** Installs what was asked for; what cannot be had is skipped, and the reason printed. */
const install = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const skipped: Array<string> = []
  const skip = (name: string, { message }: Failure) => {
    skipped.push(name)
    return Console.error(`Skipping ${name}: ${message}`)
  }
  const ready = []
  for (const [name, contestant] of Object.entries(contestants)) {
    if (!names.includes(name)) continue
    const installed = yield* Effect.result(contestant)
    if (Result.isSuccess(installed)) ready.push(installed.success)
    else yield* skip(name, installed.failure)
  }
  const pgbench = names.includes("pgbench")
    ? yield* Effect.result(Pgbench.version)
    : Result.fail(undefined)
  if (Result.isFailure(pgbench) && pgbench.failure) yield* skip("pgbench", pgbench.failure)
  return { ready, pgbench: Result.getOrUndefined(pgbench), skipped }
})

/** The most that the generator can ask for, of a server that does nothing. */
const ceiling = Effect.fnUntraced(function* (size: Size, connections: number) {
  const { url } = yield* Database
  const generator = yield* Generator
  const server = yield* Server.start({
    name: "static",
    peer: false,
    javaScript: true,
    versions: "",
    command: [Deno.execPath(), "run", "-A", "static.ts"],
    directory: new URL(".", import.meta.url).pathname,
    environment: (_, port) => ({ PORT: String(port) }),
  }, url)
  return yield* generator.run({
    operation: "user by id",
    port: server.port,
    connections,
    warmUp: 1,
    seconds: 2,
    requests: Number.MAX_SAFE_INTEGER,
    size,
    run: 0,
  })
}, Effect.scoped)

const benchmark = Effect.fnUntraced(function* (options: Flags) {
  const wanted = yield* chosen(options.operations, operationNames)
  const { ready, pgbench, skipped } = yield* install(yield* chosen(options.only, contestantNames))
  const size = sizeOf(options.users)
  const database = yield* Database
  yield* Console.error(`Filling the database: ${options.users} users`)
  yield* database.run([...functions, ...fill(size)])
  const limit = yield* ceiling(size, options.connections)
  const servers = yield* Effect.forEach(ready, (one) => Server.start(one, database.url))
  const measured = operations.filter(({ name }) => wanted.includes(name))
  const { warmUp, round, nextRun } = yield* Measure.make({
    size,
    operations: measured,
    servers,
    pgbench: pgbench === undefined ? new Map() : yield* Pgbench.scripts(measured, size),
    rounds: options.rounds,
    connections: options.connections,
    warmUp: options.warmUp,
    seconds: options.seconds,
  })
  yield* Conformance.verify(servers, size, nextRun)
  yield* Console.error("All contestants answer alike; warming up")
  yield* warmUp
  const samples: Array<Measure.Sample> = []
  for (let n = 0; n < options.rounds; n++) samples.push(...(yield* round(n)))

  const text = Report.render({
    samples,
    operations: measured,
    contestants: [
      ...ready,
      ...pgbench === undefined
        ? []
        : [{ name: Measure.pgbenchName, peer: false, javaScript: false, versions: pgbench }],
    ],
    memory: new Map(servers.map(({ contestant, pid }) => [contestant.name, peakMemory(pid)])),
    startUp: new Map(servers.map(({ contestant, startUp }) => [contestant.name, startUp])),
    connections: options.connections,
    facts: [
      `${new Date().toISOString().slice(0, 10)}, ${Machine.describe()}`,
      `PostgreSQL ${database.version}: ${database.settings}`,
      `${size.users} users, ${size.tokens} refresh tokens, ${size.attempts} login attempts`,
      `Medians of ${options.rounds} interleaved rounds of ${options.seconds} s each; one process ` +
      `and at most 10 database connections for each server`,
      `The load generator by itself: ${Math.round(limit.requestsPerSecond)} requests/s of a ` +
      `static server, ${limit.generatorCpu.toFixed(3)} s of its CPU per 1,000`,
      ...skipped.length === 0
        ? []
        : [`Skipped, because they could not be installed: ${skipped.join(", ")}`],
    ],
  })
  yield* Sections.write(options.output, text)
})

const command = Command.make(
  "bench",
  flags,
  (options) =>
    Effect.promise(() => Deno.mkdir(cache, { recursive: true })).pipe(
      Effect.andThen(options.check ? Check.run(options.update) : benchmark(options)),
      Effect.scoped,
      Effect.provide(Layer.merge(Database.layer, Generator.layer)),
    ),
).pipe(Command.withDescription("Measure latchkey beside its peers; results in RESULTS.md"))

Command.runWith(command, { version: denoJson.version })(Deno.args).pipe(
  Effect.provide(NodeServices.layer),
  runMain,
)
