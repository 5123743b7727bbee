/** Runs every contestant through every operation, in rounds that interleave them. */
import { Console, Effect } from "effect"
import { cleanUp, prepare, type Size } from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { Generator } from "./Generator.ts"
import type { Operation } from "./operations.ts"
import * as Pgbench from "./pgbench.ts"
import type { Server } from "./Server.ts"

export interface Plan {
  readonly size: Size
  readonly operations: ReadonlyArray<Operation>
  readonly servers: ReadonlyArray<Server>
  /** What pgbench runs for an operation; none without it. */
  readonly pgbench: ReadonlyMap<string, string>
  readonly rounds: number
  readonly connections: number
  readonly warmUp: number
  readonly seconds: number
}

/** What one run gave. */
export interface Sample {
  readonly contestant: string
  readonly operation: string
  readonly connections: number
  readonly requestsPerSecond: number
  readonly p50: number
  readonly p99: number
  readonly cpu?: number | undefined
  readonly errors: number
}

export const pgbenchName = "pgbench, no HTTP"

/** Requests per second to prepare for while it is not known how many a server answers. */
const highestRate = { tokens: 15_000, accounts: 4_000 }

interface Load {
  readonly operation: Operation
  readonly connections: number
  readonly warmUp: number
  readonly seconds: number
}

export const make = Effect.fnUntraced(function* (plan: Plan) {
  const database = yield* Database
  const generator = yield* Generator
  const { size } = plan
  const rates = new Map<string, number>()
  let runs = 0

  /** A number that no other run has, and for how many requests there is what they use up. */
  const prepareRun = Effect.fnUntraced(function* (contestant: string, load: Load) {
    const { operation, connections, warmUp, seconds } = load
    const run = ++runs
    if (operation.usesUp === undefined) {
      yield* database.run(prepare(operation, size, run, 0))
      return { run, requests: Number.MAX_SAFE_INTEGER }
    }
    const key = `${contestant} ${operation.name} ${connections}`
    // Twice what it takes at the last rate, which may have been that of a cold or disturbed server.
    const highest = highestRate[operation.usesUp.what]
    const usualRate = connections === 1 ? highest / 4 : highest
    const rate = Math.max(rates.get(key) ?? usualRate, usualRate / 2)
    const requests = Math.ceil((warmUp + seconds) * rate * 2)
    yield* database.run(prepare(operation, size, run, requests))
    return { run, requests }
  })

  /** So that none pays for what another has written; not every role may ask for it. */
  const settle = Effect.ignore(database.run(["CHECKPOINT"]))

  const ofServer = Effect.fnUntraced(function* (server: Server, load: Load) {
    const { name } = server.contestant
    const { operation, connections, warmUp, seconds } = load
    const { run, requests } = yield* prepareRun(name, load)
    yield* settle
    const result = yield* generator.run({
      operation: operation.name,
      port: server.port,
      pid: server.pid,
      connections,
      warmUp,
      seconds,
      requests,
      size,
      run,
    })
    if (result.requestsPerSecond === 0) {
      return yield* new Failure({
        message: `${name} answered nothing for ${operation.name}: ${
          result.firstError ?? (result.usedUp ? "all was used up before" : "no error")
        }`,
      })
    }
    rates.set(`${name} ${operation.name} ${connections}`, result.requestsPerSecond)
    if (result.firstError !== undefined) yield* Console.error(`  ${name}: ${result.firstError}`)
    if (result.usedUp) yield* Console.error(`  ${name}: ended early, what was prepared is used up`)
    const sample: Sample = { contestant: name, operation: operation.name, connections, ...result }
    return sample
  })

  const ofPgbench = Effect.fnUntraced(function* (load: Load) {
    const { operation, connections, seconds } = load
    // It takes a second and more beyond what it is asked to.
    const { run, requests } = yield* prepareRun(pgbenchName, { ...load, warmUp: 2 })
    yield* settle
    const { answered, ...result } = yield* Pgbench.measure({
      url: database.url,
      script: plan.pgbench.get(operation.name)!,
      connections,
      seconds,
      size,
      run,
    })
    if (answered > requests) {
      return yield* new Failure({
        message: `pgbench ran out of what was prepared for ${operation.name}`,
      })
    }
    rates.set(`${pgbenchName} ${operation.name} ${connections}`, result.requestsPerSecond)
    const sample: Sample = {
      contestant: pgbenchName,
      operation: operation.name,
      connections,
      errors: 0,
      ...result,
    }
    return sample
  })

  const entrants = [
    ...plan.servers.map((server) => ({
      name: server.contestant.name,
      covers: (_operation: string) => true,
      run: (load: Load) => ofServer(server, load),
    })),
    { name: pgbenchName, covers: (name: string) => plan.pgbench.has(name), run: ofPgbench },
  ]

  /**
   * Each server answers some of everything before it is measured. Compilers count calls, and with one
   * connection there are few of them in a second. Twice, because what an operation is the first to do
   * undoes code that was compiled for those before it.
   */
  const warmUp = Effect.forEach(
    plan.servers,
    (server) =>
      Effect.forEach(
        [...plan.operations, ...plan.operations],
        (operation) =>
          Effect.forEach([plan.connections, 1], (connections) =>
            ofServer(server, {
              operation,
              connections,
              warmUp: 0,
              seconds: plan.warmUp * (connections === 1 ? 3 : 1),
            })),
      ),
  )

  const round = Effect.fnUntraced(function* (n: number) {
    const samples: Array<Sample> = []
    for (const operation of plan.operations) {
      const loads = [
        { operation, connections: plan.connections, warmUp: plan.warmUp, seconds: plan.seconds },
        { operation, connections: 1, warmUp: plan.warmUp / 4, seconds: plan.seconds / 2 },
      ]
      for (const load of loads) {
        // Another order in each round, so that none is always behind the same neighbour.
        for (let k = 0; k < entrants.length; k++) {
          const entrant = entrants[(k + n) % entrants.length]!
          if (!entrant.covers(operation.name)) continue
          const sample = yield* entrant.run(load)
          samples.push(sample)
          yield* Console.error(
            `round ${n + 1} of ${plan.rounds}: ${operation.name}, ${load.connections} ` +
              `connection(s), ${entrant.name}: ${Math.round(sample.requestsPerSecond)} requests/s`,
          )
        }
      }
    }
    yield* database.run(cleanUp)
    return samples
  })

  const nextRun = () => ++runs

  return { warmUp, round, nextRun }
})
