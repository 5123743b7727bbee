/**
 * How many bytes of the JavaScript heap the service allocates for a request: by how much its heap
 * grows while nothing is collected.
 */
import { Effect } from "effect"
import { contestants } from "./contestants.ts"
import { prepare, type Size } from "./data.ts"
import { Database } from "./Database.ts"
import { Generator } from "./Generator.ts"
import * as Heap from "./Heap.ts"
import type { Operation } from "./operations.ts"
import { median } from "./report.ts"
import * as Server from "./Server.ts"

/**
 * A young generation that holds all of a run's garbage, and no optimizing compilers: which objects
 * those do away with depends on when they come round to a function, and moves the figures by some
 * percent; without them they are the same within some thousandths.
 */
const v8Flags = [
  "--min-semi-space-size=512",
  "--max-semi-space-size=512",
  "--no-opt",
  "--no-maglev",
  "--no-sparkplug",
  "--no-lazy-feedback-allocation",
]

const warmUp = 500
const runs = 5
const requests = 100

/** Bytes per request, by the name of the operation; takes the numbers of runs from `firstRun`. */
export const measure = Effect.fnUntraced(function* (
  operations: ReadonlyArray<Operation>,
  size: Size,
  firstRun: number,
) {
  const database = yield* Database
  const generator = yield* Generator
  const contestant = Heap.inspected(yield* contestants["latchkey"]!, v8Flags)
  const server = yield* Server.start(contestant, database.url)
  const heap = yield* Heap.connect(server)
  let run = firstRun

  const load = Effect.fnUntraced(function* (operation: Operation, requests: number) {
    run++
    yield* database.run(prepare(operation, size, run, requests))
    const before = yield* heap.used
    yield* generator.exactly({
      operation: operation.name,
      port: server.port,
      connections: 1,
      requests,
      size,
      run,
    })
    return ((yield* heap.used) - before) / requests
  })

  const found = new Map<string, number>()
  for (const operation of operations) {
    yield* load(operation, warmUp)
    yield* heap.collect
    const samples: Array<number> = []
    for (let n = 0; n < runs; n++) samples.push(yield* load(operation, requests))
    found.set(operation.name, Math.round(median(samples)))
  }
  return found
}, Effect.scoped)
