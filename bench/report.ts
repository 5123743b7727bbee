/** The tables that RESULTS.md and the terminal show: medians of the rounds. */
import type { Contestant } from "./contestants.ts"
import { pgbenchName, type Sample } from "./measure.ts"
import type { Operation } from "./operations.ts"

export interface Report {
  readonly samples: ReadonlyArray<Sample>
  readonly operations: ReadonlyArray<Operation>
  readonly contestants: ReadonlyArray<
    Pick<Contestant, "name" | "peer" | "javaScript" | "versions">
  >
  /** Bytes and seconds, by contestant. */
  readonly memory: ReadonlyMap<string, number>
  readonly startUp: ReadonlyMap<string, number>
  readonly connections: number
  /** Sentences about the machine, the versions and the run. */
  readonly facts: ReadonlyArray<string>
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** One contestant in one operation. */
interface Summary {
  readonly contestant: string
  readonly rate: number
  readonly p50: number
  readonly p99: number
  readonly cpu: number | undefined
  readonly errors: number
}

const summarize = (report: Report, operation: string, connections: number) =>
  report.contestants.flatMap(({ name }): ReadonlyArray<Summary> => {
    const samples = report.samples.filter((sample) =>
      sample.contestant === name && sample.operation === operation &&
      sample.connections === connections
    )
    if (samples.length === 0) return []
    const of = (value: (sample: Sample) => number) => median(samples.map(value))
    const cpus = samples.flatMap(({ cpu }) => cpu === undefined ? [] : [cpu])
    return [{
      contestant: name,
      rate: of((sample) => sample.requestsPerSecond),
      p50: of((sample) => sample.p50),
      p99: of((sample) => sample.p99),
      cpu: cpus.length === 0 ? undefined : median(cpus),
      errors: samples.reduce((sum, { errors }) => sum + errors, 0),
    }]
  })

const none = "–"
const whole = (value: number) => Math.round(value).toLocaleString("en-US")
const ratio = (value: number | undefined, of: number | undefined) =>
  value === undefined || of === undefined || of === 0 ? none : (value / of).toFixed(2)
const milliseconds = (value: number) => value.toFixed(2)

export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

const best = (summaries: ReadonlyArray<Summary>) =>
  summaries.length === 0 ? undefined : summaries.reduce((a, b) => b.rate > a.rate ? b : a)

/** The service against the others, one line per operation. */
const overview = (report: Report) => {
  const named = (name: string) => (summary: Summary) => summary.contestant === name
  const peers = report.contestants.filter(({ peer }) => peer)
  const isPeer = ({ contestant }: Summary) => peers.some(({ name }) => name === contestant)
  const isJavaScript = ({ contestant }: Summary) =>
    peers.some(({ name, javaScript }) => javaScript && name === contestant)
  return table(
    [
      "operation",
      "requests/s",
      "best peer",
      "× best peer",
      "× FastAPI",
      "× pgbench",
      "p99 ÷ best peer's",
      "CPU ÷ least of JavaScript peers",
      "p50 ÷ Fastify's, 1 connection",
    ],
    report.operations.flatMap(({ name }) => {
      const summaries = summarize(report, name, report.connections)
      const one = summarize(report, name, 1)
      const own = summaries.find(named("latchkey"))
      if (own === undefined) return []
      const peer = best(summaries.filter(isPeer))
      const cpus = summaries.filter(isJavaScript).flatMap(({ cpu }) => cpu ?? [])
      return [[
        name,
        whole(own.rate),
        peer?.contestant ?? none,
        ratio(own.rate, peer?.rate),
        ratio(own.rate, summaries.find(named("FastAPI + SQLAlchemy"))?.rate),
        ratio(own.rate, summaries.find(named(pgbenchName))?.rate),
        ratio(own.p99, peer?.p99),
        ratio(own.cpu, cpus.length === 0 ? undefined : Math.min(...cpus)),
        ratio(one.find(named("latchkey"))?.p50, one.find(named("Fastify + pg"))?.p50),
      ]]
    }),
  )
}

const details = (report: Report, operation: string, connections: number) => {
  const summaries = summarize(report, operation, connections)
  const peers = report.contestants.filter(({ peer }) => peer).map(({ name }) => name)
  const peer = best(summaries.filter(({ contestant }) => peers.includes(contestant)))
  return table(
    [operation, "requests/s", "× best peer", "p50 ms", "p99 ms", "CPU s per 1,000", "errors"],
    summaries.map(({ contestant, rate, p50, p99, cpu, errors }) => [
      contestant,
      whole(rate),
      ratio(rate, peer?.rate),
      milliseconds(p50),
      milliseconds(p99),
      cpu === undefined ? none : cpu.toFixed(3),
      whole(errors),
    ]),
  )
}

/** Markdown that still has to be formatted. */
export const render = (report: Report): string =>
  [
    "# Results of `deno task bench`",
    report.facts.map((fact) => `- ${fact}`).join("\n"),
    `## latchkey against the others, ${report.connections} connections`,
    overview(report),
    "The best peer is the one with the most requests per second; its p99 is the one compared with.",
    `## Each operation, ${report.connections} connections`,
    ...report.operations.map(({ name }) => details(report, name, report.connections)),
    "## Each operation, one connection",
    ...report.operations.map(({ name }) => details(report, name, 1)),
    "## Processes",
    table(
      ["contestant", "peak memory MiB", "start-up s", "versions"],
      report.contestants.map(({ name, versions }) => {
        const bytes = report.memory.get(name)
        const seconds = report.startUp.get(name)
        return [
          name,
          bytes === undefined ? none : whole(bytes / 1024 / 1024),
          seconds === undefined ? none : seconds.toFixed(2),
          versions,
        ]
      }),
    ),
  ].join("\n\n") + "\n"
