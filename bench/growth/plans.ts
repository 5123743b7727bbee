/**
 * The plans of the statements that the service sends, as PostgreSQL's auto_explain writes them into
 * its log while it executes them: those of foreign keys as well.
 */
import { Effect } from "effect"
import { contestants } from "../contestants.ts"
import type { Size } from "../data.ts"
import { Database, runOn } from "../Database.ts"
import type { Operation } from "../operations.ts"
import * as Server from "../Server.ts"
import { prepare, requestsOf } from "./operations.ts"
import { serverLog } from "./server.ts"

/** The last one's plans count: by then a session may prefer a plan that is good for all values. */
const oneByOne = 10

/** Then as many at once, most of which share a statement. */
const atOnce = 64

export interface Plans {
  readonly alone: ReadonlyArray<string>
  /** Those that no request has alone. */
  readonly inGroups: ReadonlyArray<string>
}

const settings = {
  "session_preload_libraries": "auto_explain",
  "auto_explain.log_min_duration": "0",
  "auto_explain.log_nested_statements": "on",
  "auto_explain.log_parameter_max_length": "0",
}

const configure = Effect.fnUntraced(function* (
  change: (name: string, value: string) => string,
) {
  const { url } = yield* Database
  const database = url.pathname.slice(1)
  yield* runOn(
    url,
    Object.entries(settings).map(([name, value]) =>
      `ALTER DATABASE ${database} ${change(name, value)}`
    ),
  )
})

const size = Effect.promise(() => Deno.stat(serverLog)).pipe(Effect.map(({ size }) => size))

const writtenSince = (offset: number) =>
  Effect.promise(async () =>
    new TextDecoder().decode((await Deno.readFile(serverLog)).subarray(offset))
  )

/** What differs between two executions of a statement: costs, and the values of parameters. */
const withoutValues = (plan: string) =>
  plan
    .replaceAll(/ +\(cost=[^)]*\)/g, "")
    .replaceAll(/'(?:[^']|'')*'/g, "'…'")
    .replaceAll(/\b(InitPlan|SubPlan|CTE) \d+/g, "$1")

/** The plans in a piece of the log, each once. */
const plansIn = (log: string): ReadonlyArray<string> => {
  const plans = [...log.matchAll(/ LOG: {2}duration: [\d.]+ ms {2}plan:\n((?:\t.*\n)+)/g)]
    .map(([, text]) => {
      const lines = text!.split("\n").map((line) => line.slice(1))
      // The text of the query comes first, over several lines; the plan begins with its first cost.
      const start = lines.findIndex((line) => line.includes("(cost="))
      return withoutValues(lines.slice(start).join("\n").trim())
    })
  return [...new Set(plans)]
}

/** The plans of each operation's statements, by its name. */
export const collect = Effect.fnUntraced(function* (
  operations: ReadonlyArray<Operation>,
  rows: Size,
  firstRun: number,
) {
  const { url, run } = yield* Database
  yield* configure((name, value) => `SET ${name} = '${value}'`)
  const server = yield* Server.start(yield* contestants["latchkey"]!, url)
  const plansOf = <A, E, R>(requests: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const before = yield* size
      yield* requests
      return plansIn(yield* writtenSince(before))
    })
  const found = new Map<string, Plans>()
  for (const [k, operation] of operations.entries()) {
    const atOnceOrNone = requestsOf(operation).many === 0 ? 0 : atOnce
    yield* run(prepare(operation, rows, firstRun + k, oneByOne + atOnceOrNone))
    const context = { size: rows, run: firstRun + k }
    const send = (i: number) => Server.perform(server, operation, context, i)
    for (let i = 1; i < oneByOne; i++) yield* send(i)
    const alone = yield* plansOf(send(0))
    const together = yield* plansOf(
      Effect.forEach(
        Array.from({ length: atOnceOrNone }, (_, i) => oneByOne + i),
        send,
        { concurrency: "unbounded" },
      ),
    )
    found.set(operation.name, {
      alone,
      inGroups: together.filter((plan) => !alone.includes(plan)),
    })
  }
  yield* configure((name) => `RESET ${name}`)
  return found
}, Effect.scoped)
