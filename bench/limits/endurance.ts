/**
 * `deno task bench:endurance [MINUTES]`: the memory of the service through ten minutes of the login
 * mix at full load. It is bounded if the second half needs no more than the first.
 */
import { Console, Effect, Fiber, Layer, Schedule } from "effect"
import { runMain } from "../../src/process/runMain.ts"
import { cache, contestants } from "../contestants.ts"
import { fill, functions, prepare, sizeOf } from "../data.ts"
import { Database } from "../Database.ts"
import { Failure } from "../Failure.ts"
import { Generator } from "../Generator.ts"
import * as Heap from "../Heap.ts"
import * as Machine from "../machine.ts"
import { operations } from "../operations.ts"
import { residentMemory } from "../processTree.ts"
import { table } from "../report.ts"
import * as Sections from "../sections.ts"
import * as Server from "../Server.ts"

const connections = 64
const size = sizeOf(100_000)
const minutes = Number(Deno.args[0] ?? 10)

/** How much more the second half may need: what a collector leaves lying about varies. */
const allowed = 1.1

const mix = operations.find(({ kind }) => kind === "mix")!

interface Memory {
  readonly resident: number
  readonly heap: number
}

interface Minute {
  readonly rate: number
  /** The most that the process had. */
  readonly resident: number
  /** The least and the most of the JavaScript heap: after a collection and before one. */
  readonly live: number
  readonly heap: number
}

const MiB = (bytes: number) => (bytes / 1024 / 1024).toFixed(0)

const render = (measured: ReadonlyArray<Minute>, bounded: boolean, growth: number) =>
  [
    "# Results of `deno task bench:endurance`",
    `${new Date().toISOString().slice(0, 10)}, ${Machine.describe()}. ${measured.length} minutes ` +
    `of the login mix at ${connections} connections, memory sampled every second.`,
    table(
      ["minute", "requests/s", "memory MiB, most", "heap MiB, least", "heap MiB, most"],
      measured.map(({ rate, resident, live, heap }, k) => [
        String(k + 1),
        rate.toFixed(0),
        MiB(resident),
        MiB(live),
        MiB(heap),
      ]),
    ),
    `The process of the second half had at most ${growth.toFixed(2)} times the memory of the ` +
    `first: it is ${bounded ? "" : "not "}bounded.`,
  ].join("\n\n") + "\n"

const program = Effect.gen(function* () {
  if (!Number.isInteger(minutes / 2) || minutes < 2) {
    return yield* new Failure({ message: "Give an even number of minutes, at least 2" })
  }
  yield* Effect.promise(() => Deno.mkdir(cache, { recursive: true }))
  const database = yield* Database
  const generator = yield* Generator
  yield* database.run([...functions, ...fill(size)])
  const contestant = Heap.inspected(yield* contestants["latchkey"]!)
  const server = yield* Server.start(contestant, database.url)
  const heap = yield* Heap.connect(server)

  let run = 0
  const load = Effect.fnUntraced(function* (seconds: number, requests: number) {
    const options = { operation: mix.name, port: server.port, connections, warmUp: 0, size }
    const result = yield* generator.run({ ...options, seconds, requests, run: ++run })
    if (result.errors === 0 && !result.usedUp) return result
    return yield* new Failure({
      message: `${result.errors} errors, the first: ${result.firstError}; tokens ` +
        (result.usedUp ? "used up" : "left"),
    })
  })
  // Tells for how many requests a minute needs tokens: twice as many, since a server gets faster.
  yield* database.run(prepare(mix, size, 1, 200_000))
  const { requestsPerSecond } = yield* load(10, 200_000)
  const requests = Math.ceil(requestsPerSecond * 60 * 2)
  yield* database.run(
    Array.from({ length: minutes }, (_, k) => prepare(mix, size, 2 + k, requests)).flat(),
  )

  let samples: Array<Memory> = []
  const sampling = yield* Effect.map(heap.used, (heap) => {
    samples.push({ resident: residentMemory(server.pid), heap })
  }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)

  const measured: Array<Minute> = []
  for (let minute = 1; minute <= minutes; minute++) {
    samples = []
    const { requestsPerSecond } = yield* load(60, requests)
    const most = (of: (memory: Memory) => number) => Math.max(...samples.map(of))
    const now: Minute = {
      rate: requestsPerSecond,
      resident: most(({ resident }) => resident),
      live: -most(({ heap }) => -heap),
      heap: most(({ heap }) => heap),
    }
    measured.push(now)
    yield* Console.error(
      `minute ${minute}: ${now.rate.toFixed(0)} requests/s, ${MiB(now.resident)} MiB, ` +
        `heap ${MiB(now.live)} to ${MiB(now.heap)} MiB`,
    )
  }
  yield* Fiber.interrupt(sampling)

  const peak = (half: ReadonlyArray<Minute>) => Math.max(...half.map(({ resident }) => resident))
  const growth = peak(measured.slice(minutes / 2)) / peak(measured.slice(0, minutes / 2))
  const bounded = growth <= allowed
  const text = render(measured, bounded, growth)
  // A shorter run is a trial.
  if (minutes >= 10) yield* Sections.write(Sections.results, text)
  else yield* Console.log(text)
  if (!bounded) return yield* new Failure({ message: "The memory of the service grows" })
})

runMain(program.pipe(
  Effect.scoped,
  Effect.provide(Layer.merge(Database.layer, Generator.layer)),
))
