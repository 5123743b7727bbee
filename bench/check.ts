/**
 * `deno task bench --check`: what latchkey does per request, held against expected.json. None of it
 * is a time, so it means the same on every machine, and on a busy one.
 */
import { Console, Effect, Schedule } from "effect"
import * as Allocations from "./allocations.ts"
import { contestants } from "./contestants.ts"
import { fill, functions, prepare, sizeOf } from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { Generator } from "./Generator.ts"
import { type Operation, operations } from "./operations.ts"
import * as Server from "./Server.ts"
import { type Counts, Wire } from "./Wire.ts"

/** Per request. */
interface Work {
  readonly statements: number
  readonly statementsAtOnce: number
  readonly parses: number
  readonly rowsRead: number
  readonly rowsReceived: number
  readonly bytesToDatabase: number
  readonly bytesFromDatabase: number
  readonly bytesOfAnswer: number
  readonly bytesAllocated: number
}

/**
 * How much more than expected is no regression, as a factor and beside it. How many requests are
 * answered by one statement depends on how they happen to arrive.
 */
const tolerance: Record<keyof Work, readonly [factor: number, margin: number]> = {
  statements: [1, 0.02],
  statementsAtOnce: [1.5, 0.02],
  parses: [1, 0.05],
  rowsRead: [1.02, 0.05],
  // Readiness is looked at every five seconds beside the requests.
  rowsReceived: [1, 0.05],
  bytesToDatabase: [1.02, 2],
  bytesFromDatabase: [1.02, 12],
  bytesOfAnswer: [1.02, 2],
  // Runs on one machine differ by up to 0.2 %, beside four busy processes by up to 2 %.
  bytesAllocated: [1.04, 0],
}

const expectedFile = new URL("expected.json", import.meta.url)

/** Enough rows that PostgreSQL uses the indexes. */
const size = sizeOf(20_000)

const requests = { oneByOne: 200, atOnce: 6_400 }

/** The numbers of an operation's three runs, the same each time: they decide which rows are used. */
const runsOf = (operation: Operation) => {
  const first = 3 * operations.indexOf(operation)
  return { atOnce: first + 1, oneByOne: first + 2, counted: first + 3 }
}

const load = Effect.fnUntraced(function* (
  server: Server.Server,
  operation: Operation,
  run: number,
  { connections, requests }: { readonly connections: number; readonly requests: number },
) {
  const generator = yield* Generator
  return yield* generator.exactly({
    operation: operation.name,
    port: server.port,
    connections,
    requests,
    size,
    run,
  })
})

const rounded = (value: number) => Number(value.toFixed(2))

const perRequest = (before: Counts, after: Counts, key: keyof Counts, requests: number) =>
  rounded((after[key] - before[key]) / requests)

/** What passes between the service and PostgreSQL. */
const onTheWire = Effect.fnUntraced(function* (server: Server.Server, operation: Operation) {
  const wire = yield* Wire
  const runs = runsOf(operation)
  const start = yield* wire.counts
  // First, since afterwards every connection has prepared its statements.
  yield* load(server, operation, runs.atOnce, { connections: 64, requests: requests.atOnce })
  const before = yield* wire.counts
  const { bytesPerRequest } = yield* load(server, operation, runs.oneByOne, {
    connections: 1,
    requests: requests.oneByOne,
  })
  const after = yield* wire.counts
  const each = (key: keyof Counts) => perRequest(before, after, key, requests.oneByOne)
  return {
    statements: each("statements"),
    statementsAtOnce: perRequest(start, before, "statements", requests.atOnce),
    parses: each("parses"),
    rowsReceived: each("rows"),
    bytesToDatabase: each("bytesSent"),
    bytesFromDatabase: each("bytesReceived"),
    bytesOfAnswer: rounded(bytesPerRequest),
  }
})

const rowsReadSoFar = Effect.gen(function* () {
  const database = yield* Database
  const [row] = yield* database.query<{ readonly rows: number }>(`
    SELECT sum(seq_tup_read + idx_tup_fetch)::float8 AS rows, pg_stat_force_next_flush()
    FROM pg_stat_user_tables
    WHERE relname IN ('users', 'refresh_tokens', 'login_attempts')`)
  return row!.rows
})

/** A session adds what it read to the statistics when it ends, so the server has to stop first. */
const allSessionsEnded = Effect.gen(function* () {
  const database = yield* Database
  const others = yield* database.query(`
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
  if (others.length > 0) return yield* new Failure({ message: "Sessions outlive the server" })
}).pipe(Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 6_000 }))

/** What PostgreSQL read from the tables. */
const rowsRead = Effect.fnUntraced(function* (operation: Operation) {
  const { url } = yield* Database
  const before = yield* rowsReadSoFar
  yield* Effect.gen(function* () {
    const server = yield* Server.start(yield* contestants["latchkey"]!, url)
    yield* load(server, operation, runsOf(operation).counted, {
      connections: 1,
      requests: requests.oneByOne,
    })
  }).pipe(Effect.scoped)
  yield* allSessionsEnded
  return rounded(((yield* rowsReadSoFar) - before) / requests.oneByOne)
})

const measure = Effect.gen(function* () {
  const database = yield* Database
  const wire = yield* Wire
  const prepared = operations.flatMap((operation) => {
    const runs = runsOf(operation)
    return [
      ...prepare(operation, size, runs.atOnce, requests.atOnce),
      ...prepare(operation, size, runs.oneByOne, requests.oneByOne),
      ...prepare(operation, size, runs.counted, requests.oneByOne),
    ]
  })
  yield* database.run([...functions, ...fill(size), ...prepared])
  // Adds what this session has read to the statistics, before they are looked at.
  yield* rowsReadSoFar
  const read: Array<number> = []
  for (const operation of operations) read.push(yield* rowsRead(operation))
  const allocated = yield* Allocations.measure(operations, size, 3 * operations.length)
  const server = yield* Server.start(yield* contestants["latchkey"]!, wire.url)
  const found: Record<string, Work> = {}
  for (const [k, operation] of operations.entries()) {
    found[operation.name] = {
      ...(yield* onTheWire(server, operation)),
      rowsRead: read[k]!,
      bytesAllocated: allocated.get(operation.name)!,
    }
  }
  return found
}).pipe(Effect.scoped, Effect.provide(Wire.layer))

const compare = (found: Record<string, Work>, expected: Record<string, Work>) =>
  operations.flatMap(({ name }) =>
    Object.entries(tolerance).flatMap(([key, [factor, margin]]) => {
      const now = found[name]![key as keyof Work]
      const then = expected[name]?.[key as keyof Work]
      if (then === undefined) return [`${name}: no expected ${key}`]
      const most = then * factor + margin
      return now > most ? [`${name}: ${key} ${now} per request, expected ${then}`] : []
    })
  )

/** Fails when a request does more work than expected; `update` takes this run for what is expected. */
export const run = Effect.fnUntraced(function* (update: boolean) {
  const found = yield* measure
  if (update) {
    const text = JSON.stringify(found, null, 2) + "\n"
    yield* Effect.promise(() => Deno.writeTextFile(expectedFile, text))
    return yield* Console.log(`Wrote ${expectedFile.pathname}`)
  }
  const expected = JSON.parse(yield* Effect.promise(() => Deno.readTextFile(expectedFile)))
  const regressions = compare(found, expected)
  if (regressions.length > 0) {
    return yield* new Failure({
      message: `${regressions.join("\n")}\nRun it with --update where the change is wanted.`,
    })
  }
  yield* Console.log(`No request does more work than expected (${operations.length} operations)`)
})
