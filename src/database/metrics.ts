/**
 * What is counted of pools and statements. What each statement adds to is a number, which is looked at
 * when somebody asks; a metric that is updated would be looked up each time.
 */
import { Context, Effect, Metric } from "effect"
import type { SqlError } from "effect/sql"
import { codeOf, countNoRetry } from "./Constraints.ts"
import { diagnose } from "./DatabaseUnreachable.ts"

const connections = Metric.gauge("database_connections", {
  description: "Connections to the database that are open",
})
const connectionsMax = Metric.gauge("database_connections_max", {
  description: "Connections to the database that may be open",
})
const requestsWaiting = Metric.gauge("database_connection_requests_waiting", {
  description: "Statements and transactions that wait for a connection",
})
const waits = Metric.histogram("database_connection_wait_seconds", {
  description: "Time that statements and transactions waited for a connection, mostly none",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
})
const opened = Metric.counter("database_connections_opened_total", {
  description: "Connections to the database that were made",
  incremental: true,
})
const failures = Metric.counter("database_connection_failures_total", {
  description: "Servers that were not taken for a new connection, for an error",
  incremental: true,
})
const statements = Metric.counter("database_statements_total", {
  description: "Statements that have ended, or could not be sent",
  incremental: true,
})
/** Has a metric looked at until the scope closes. */
const register = <State>(
  context: Context.Context<never>,
  metric: Metric.Metric<number, State>,
  get: () => State,
) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} })
    ),
    (registration) => Effect.sync(() => registration.remove()),
  )

/** Metrics with one more label, each made once. */
const byLabel = <State>(
  metric: Metric.Metric<number, State>,
  attributesOf: (value: string) => Record<string, string>,
) => {
  const known = new Map<string, Metric.Metric<number, State>>()
  return (value: string) => {
    let found = known.get(value)
    if (found === undefined) {
      found = Metric.withAttributes(metric, attributesOf(value))
      known.set(value, found)
    }
    return found
  }
}

/** A pool as its metrics see it. */
export interface PoolState {
  readonly inUse: number
  readonly idle: number
  readonly waiting: number
}

export interface PoolMetrics {
  /** How often somebody got a connection at once. */
  immediate: number
  /** Somebody waited for a connection, perhaps in vain. */
  readonly waited: (seconds: number) => void
  readonly opened: () => void
  /** A server was not taken for a new connection. */
  readonly failed: (error: SqlError.SqlError) => void
}

/** Why a server was not taken: few enough words for a label. */
const reasons = {
  busy: "other",
  credentials: "credentials",
  database: "other",
  network: "network",
  other: "other",
  rights: "other",
  settings: "unfit",
  standby: "unfit",
  tls: "tls",
  version: "unfit",
} as const

/** The metrics of a pool of this name, until the scope closes. */
export const makePoolMetrics = Effect.fnUntraced(function* (
  pool: string,
  maxConnections: number,
  state: () => PoolState,
) {
  const context = yield* Effect.context()
  const labelled = <State>(metric: Metric.Metric<number, State>, labels = {}) =>
    Metric.withAttributes(metric, { pool, ...labels })
  yield* register(context, labelled(connectionsMax), () => ({ value: maxConnections }))
  yield* register(context, labelled(requestsWaiting), () => ({ value: state().waiting }))
  yield* register(
    context,
    labelled(connections, { state: "in_use" }),
    () => ({ value: state().inUse }),
  )
  yield* register(context, labelled(connections, { state: "idle" }), () => ({
    value: state().idle,
  }))

  // Those that took no time are only counted, and in every bucket.
  const own = Context.make(Metric.MetricRegistry, new Map())
  yield* register(context, labelled(waits), () => {
    const { buckets, count, min, max, sum } = waits.valueUnsafe(own)
    const { immediate } = metrics
    return {
      buckets: buckets.map(([boundary, count]): [number, number] => [boundary, count + immediate]),
      count: count + immediate,
      min: immediate > 0 ? 0 : min,
      max: Math.max(max, 0),
      sum,
    }
  })

  const openedHere = labelled(opened)
  const failuresFor = byLabel(failures, (reason) => ({ pool, reason }))
  // So that a rate can be had from the first one on.
  openedHere.updateUnsafe(0, context)
  for (const reason of Object.values(reasons)) failuresFor(reason).updateUnsafe(0, context)
  const metrics: PoolMetrics = {
    immediate: 0,
    waited: (seconds) => waits.updateUnsafe(seconds, own),
    opened: () => openedHere.updateUnsafe(1, context),
    failed: (error) => failuresFor(reasons[diagnose(error)[0]]).updateUnsafe(1, context),
  }
  return metrics
})

/** What kind of error it was: the class of its SQLSTATE, two characters, or whose it is. */
const classOf = (error: SqlError.SqlError) => {
  const code = codeOf(error) ?? ""
  if (/^[0-9FHPX][0-9A-Z]{4}$/.test(code)) return code.slice(0, 2)
  return error.reason._tag === "ConnectionError" ? "network" : "other"
}

/**
 * Those that are to be expected, each counted from 0 so that a rate can be had from the first on: of
 * connections, constraints, rollbacks, rights, resources, locks and shutdowns.
 */
const classes = ["08", "23", "40", "42", "53", "55", "57", "network", "other"]

export interface StatementMetrics {
  /** How many have succeeded. */
  succeeded: number
  readonly failed: (error: SqlError.SqlError) => void
}

/** The metrics of all statements of one database, until the scope closes. */
export const makeStatementMetrics = Effect.gen(function* () {
  const context = yield* Effect.context()
  yield* register(
    context,
    Metric.withAttributes(statements, { outcome: "ok" }),
    () => ({ count: metrics.succeeded, incremental: true }),
  )
  const failedWith = byLabel(
    statements,
    (sqlstate_class) => ({ outcome: "error", sqlstate_class }),
  )
  for (const known of classes) failedWith(known).updateUnsafe(0, context)
  yield* countNoRetry
  const metrics: StatementMetrics = {
    succeeded: 0,
    failed: (error) => failedWith(classOf(error)).updateUnsafe(1, context),
  }
  return metrics
})
