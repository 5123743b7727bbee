/**
 * What the services say of themselves: their metrics, and the lines of their logs.
 */
import { Effect, Schedule } from "effect"
import type { Client } from "../../faults/support/Client.ts"
import type { ServiceProcess } from "../../faults/support/ServiceProcess.ts"

/** Series of a metric by their labels. */
const seriesOf = (text: string, name: string) =>
  new Map(
    [...text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, "gm"))]
      .map(([, labels = "", value]) => [labels, Number(value)]),
  )

const labelIn = (labels: string, name: string) => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1]

const metricsOf = (client: Client, port: number) =>
  Effect.map(
    client(port, { method: "GET", path: "/metrics" }),
    (outcome) => outcome._tag === "Answered" ? outcome.answer.text : "",
  )

/** How many statements have failed, by the class of SQLSTATE. */
const errorsIn = (text: string) =>
  new Map(
    [...seriesOf(text, "latchkey_database_statements_total")]
      .filter(([labels]) => labelIn(labels, "outcome") === "error")
      .map(([labels, count]) => [labelIn(labels, "sqlstate_class") ?? "", count]),
  )

const interval = 500

export interface Watched {
  /** Seconds in which `latchkey_ready` said that a service was not, at most, and its reasons. */
  readonly unready: number
  readonly reasons: ReadonlySet<string>
  /** Statements that failed in all services, by the class of SQLSTATE. */
  readonly errors: ReadonlyMap<string, number>
  /** What each service has written meanwhile. */
  readonly logs: ReadonlyArray<string>
}

/** Watches until the scope closes, or until what was seen is asked for. */
export const start = Effect.fnUntraced(function* (
  client: Client,
  services: ReadonlyArray<ServiceProcess>,
) {
  const reasons = new Set<string>()
  const before = yield* Effect.forEach(services, ({ port }) => metricsOf(client, port))
  const lengths = services.map(({ output }) => output().length)
  const unready = services.map(() => 0)
  const look = Effect.fnUntraced(function* (port: number, index: number) {
    const text = yield* metricsOf(client, port)
    for (const [labels, value] of seriesOf(text, "latchkey_not_ready")) {
      if (value === 1) reasons.add(labelIn(labels, "reason") ?? "")
    }
    const isUnready = seriesOf(text, "latchkey_ready").get("") === 0
    if (isUnready) unready[index] = (unready[index] ?? 0) + interval / 1000
  })
  yield* Effect.forEach(services, ({ port }, index) => look(port, index)).pipe(
    Effect.repeat(Schedule.fixed(interval)),
    Effect.forkScoped,
  )
  return Effect.gen(function* () {
    const errors = new Map<string, number>()
    for (const [index, { port }] of services.entries()) {
      const earlier = errorsIn(before[index] ?? "")
      for (const [name, count] of errorsIn(yield* metricsOf(client, port))) {
        const more = count - (earlier.get(name) ?? 0)
        if (more > 0) errors.set(name, (errors.get(name) ?? 0) + more)
      }
    }
    const watched: Watched = {
      unready: Math.max(...unready),
      reasons,
      errors,
      logs: services.map(({ output }, index) => output().slice(lengths[index])),
    }
    return watched
  })
})
