/**
 * `pgbench -M prepared` with the service's own statements, those of one request and no HTTP: what a
 * server that sends them for each request by itself could reach at most.
 */
import { Effect } from "effect"
import { cache } from "./contestants.ts"
import { prepare, type Size } from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { type Operation, operations, type Request } from "./operations.ts"
import { output } from "./shell.ts"
import * as Statements from "./statements.ts"

/** Unique in a run: each client counts from 0, and its variables outlive a transaction. */
const next = String.raw`\set i :client_id + :n * :clients
\set n :n + 1`
const randomUser = String.raw`\set user random(1, :users)`
const randomToken = String.raw`\set token 10 * random(1, :tokens / 10 - 1) + 5`

/** How a request differs from the next one: by values that it sends, for which SQL computes others. */
interface Variation {
  /** What sets the variables of the expressions. */
  readonly variables: string
  readonly expressions: (request: Request) => ReadonlyArray<readonly [value: unknown, sql: string]>
}

const inPath = ({ path }: Request, position: number) =>
  decodeURIComponent(path.split(/[/?]/)[position]!)

const email = "'user.' || :user::int || '@example.com'"
const newTokenHash = "rpad(:run::int || '-' || :i::int || '-', 64, '0123456789abcdef')"

const ofUser: Variation = {
  variables: randomUser,
  expressions: (request) => [[inPath(request, 3), "bench.user_id(:user)"]],
}

const ofLiveToken: Variation = {
  variables: randomToken,
  expressions: (request) => [[inPath(request, 3), "bench.token_hash(:token)"]],
}

const ofPreparedToken: Variation = {
  variables: next,
  expressions: (request) => [
    [inPath(request, 3), "bench.prepared_token_hash(:run, :i)"],
    [request.body?.["tokenHash"], newTokenHash],
  ],
}

const variations: Record<string, Variation> = {
  "user by id": ofUser,
  "user by email": {
    variables: randomUser,
    expressions: (request) => [[inPath(request, 4), email]],
  },
  "valid token": ofLiveToken,
  "session check with user": ofLiveToken,
  "recent failures": ofUser,
  "create user": {
    variables: next,
    expressions: ({ body }) => [
      [body?.["email"], "'bench.pgbench.' || :run::int || '.' || :i::int || '@example.com'"],
    ],
  },
  "create attempt": {
    variables: randomUser,
    expressions: ({ body }) => [
      [body?.["userId"], "bench.user_id(:user)"],
      [body?.["email"], email],
    ],
  },
  "create token": {
    variables: `${next}\n${randomUser}`,
    expressions: ({ body }) => [
      [body?.["userId"], "bench.user_id(:user)"],
      [body?.["tokenHash"], newTokenHash],
    ],
  },
  "revoke": ofPreparedToken,
  "rotate": ofPreparedToken,
  "refresh with user": ofPreparedToken,
  "password change": {
    variables: next,
    expressions: (request) => [
      [inPath(request, 3), "bench.account_id(:run, :i)"],
      [
        request.body?.["passwordHash"],
        "rpad('$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$' || :run::int || '-' || :i::int || '-', " +
        "75, 'RdescudvJC')",
      ],
      [sessionToKeep(request), "bench.session_id(:run, :i, 0)"],
    ],
  },
}

const sessionToKeep = ({ body }: Request) => {
  const { revokeSessions } = body as { revokeSessions: { exceptSessionId: string } }
  return revokeSessions.exceptSessionId
}

/** An id that the service has made: of version 7, or random. */
const madeId = /^[0-9a-f]{8}-[0-9a-f]{4}-([47])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/

/**
 * The `lock_timeout` of a first try, after which the service would wait in memory and try again: on a
 * busy machine, to extend a table may take longer. pgbench has no second try.
 */
const withoutRetry = ["10ms", "'10s'"] as const

/** SQL that makes a script of what was sent for a request; an id may be made once. */
const script = (
  { variables, expressions }: Variation,
  request: Request,
  statements: ReadonlyArray<Statements.Sent>,
) => {
  const varying = new Map<unknown, string>([withoutRetry, ...expressions(request)])
  const made = new Set<string>()
  const expression = (value: string | null) => {
    if (value === null) return "NULL"
    const computed = varying.get(value)
    if (computed !== undefined) return `(${computed})`
    const [, version] = madeId.exec(value) ?? []
    if (version === undefined) return `'${value.replaceAll("'", "''")}'`
    if (made.has(value)) throw new Error(`An id is sent twice for ${request.path}`)
    made.add(value)
    return version === "7" ? "bench.new_token_id()" : "gen_random_uuid()"
  }
  const commands = statements.map(({ text, parameters }) =>
    text.replaceAll(/\$(\d+)/g, (_, n) => expression(parameters[Number(n) - 1]!)) + ";"
  )
  return `${variables}\n${commands.join("\n")}\n`
}

/** The scripts of operations: what the service sends for a request, with other values each time. */
export const scripts = Effect.fnUntraced(function* (
  wanted: ReadonlyArray<Operation>,
  size: Size,
) {
  const database = yield* Database
  const recorder = yield* Statements.record
  const found = new Map<string, string>()
  for (const operation of operations) {
    const variation = variations[operation.name]
    if (variation === undefined || !wanted.includes(operation)) continue
    // Of a number that no measured run has.
    const run = -1 - operations.indexOf(operation)
    yield* database.run(prepare(operation, size, run, 2))
    const requests = operation.requests({ size, run })
    // The first one opens a connection, and prepares its statements.
    yield* recorder.sentFor(requests(0))
    const statements = yield* recorder.sentFor(requests(1))
    found.set(
      operation.name,
      yield* Effect.try({
        try: () => script(variation, requests(1), statements),
        catch: (cause) => new Failure({ message: `pgbench: ${cause}` }),
      }),
    )
  }
  return found
}, Effect.scoped)

export interface PgbenchRun {
  readonly url: URL
  readonly script: string
  readonly connections: number
  readonly seconds: number
  readonly size: Size
  readonly run: number
}

/** It comes with a PostgreSQL server, which is not for a benchmark to install. */
export const version = output(["pgbench", "--version"]).pipe(
  Effect.mapError(() =>
    new Failure({ message: "it is not installed (Debian's package postgresql-contrib has it)" })
  ),
)

/** Requests per second and latencies in milliseconds. */
export const measure = Effect.fnUntraced(function* (
  { url, script, connections, seconds, size, run }: PgbenchRun,
) {
  const directory = yield* Effect.promise(() => Deno.makeTempDir({ dir: cache }))
  return yield* Effect.gen(function* () {
    const file = `${directory}/script.sql`
    yield* Effect.promise(() => Deno.writeTextFile(file, script))
    const variables = { n: 0, run, clients: connections, users: size.users, tokens: size.tokens }
    const text = yield* output([
      "pgbench",
      "--no-vacuum",
      "--protocol=prepared",
      `--file=${file}`,
      `--client=${connections}`,
      `--jobs=${Math.min(connections, navigator.hardwareConcurrency)}`,
      // Its time begins before it has connected; its rate does not count that.
      `--time=${Math.ceil(seconds) + 1}`,
      ...Object.entries(variables).map(([name, value]) => `--define=${name}=${value}`),
      "--log",
      `--log-prefix=${directory}/transactions`,
      url.href,
    ])
    const rate = /^tps = ([\d.]+)/m.exec(text)
    if (rate === null) return yield* new Failure({ message: `pgbench printed: ${text}` })
    const latencies = (yield* Effect.promise(() => logged(directory))).sort()
    return {
      requestsPerSecond: Number(rate[1]),
      p50: latencies[Math.floor(latencies.length * 0.5)]! / 1000,
      p99: latencies[Math.floor(latencies.length * 0.99)]! / 1000,
      answered: latencies.length,
    }
  }).pipe(
    Effect.ensuring(Effect.promise(() => Deno.remove(directory, { recursive: true }))),
  )
})

/** The third column of each line of its log is a latency in microseconds. */
const logged = async (directory: string): Promise<Float64Array> => {
  const latencies: Array<number> = []
  for await (const { name } of Deno.readDir(directory)) {
    if (!name.startsWith("transactions")) continue
    for (const line of (await Deno.readTextFile(`${directory}/${name}`)).split("\n")) {
      if (line !== "") latencies.push(Number(line.split(" ")[2]))
    }
  }
  return Float64Array.from(latencies)
}
