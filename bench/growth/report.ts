/** The tables and plans that RESULTS.md shows. */
import * as Machine from "../machine.ts"
import type { Operation } from "../operations.ts"
import { median, table } from "../report.ts"
import type { Plans } from "./plans.ts"

export interface Sample {
  readonly operation: string
  /** Of each table. */
  readonly rows: number
  /** Milliseconds with one connection. */
  readonly p50: number
  /** Requests per second with many; none for what is only done once. */
  readonly rate: number | undefined
}

export interface Report {
  readonly rows: ReadonlyArray<number>
  readonly operations: ReadonlyArray<Operation>
  readonly connections: number
  readonly rounds: number
  readonly version: string
  /** Of the server, as `Database` has them. */
  readonly settings: string
  readonly samples: ReadonlyArray<Sample>
  /** By operation, by rows. */
  readonly plans: ReadonlyMap<number, ReadonlyMap<string, Plans>>
}

/** How much more the largest tables may cost than the smallest. */
const allowed = 1.5

const whole = (value: number) => Math.round(value).toLocaleString("en-US")

const medians = ({ samples, rows, operations }: Report, of: (sample: Sample) => number) =>
  operations.map(({ name }) =>
    rows.map((rows) =>
      median(
        samples.filter((sample) => sample.operation === name && sample.rows === rows).map(of),
      )
    )
  )

const costs = (
  report: Report,
  title: string,
  of: (sample: Sample) => number,
  show: (value: number) => string,
  cost: (first: number, last: number) => number,
) => {
  const measured = medians(report, of)
  const ratios = measured.map((values) => cost(values.at(0)!, values.at(-1)!))
  return {
    ratios,
    text: table(
      [title, ...report.rows.map((rows) => `${whole(rows)} rows`), "cost, last ÷ first"],
      measured.flatMap((values, k) =>
        Number.isNaN(ratios[k])
          ? []
          : [[report.operations[k]!.name, ...values.map(show), ratios[k]!.toFixed(2)]]
      ),
    ),
  }
}

const plansOf = ({ plans, rows }: Report, { name }: Operation) => {
  const found = rows.map((rows) => plans.get(rows)?.get(name) ?? { alone: [], inGroups: [] })
  const block = (text: string) => ["```", text, "```"].join("\n")
  const blocks = (of: (plans: Plans) => ReadonlyArray<string>) => {
    const texts = found.map((plans) => of(plans).join("\n\n"))
    return texts.every((text) => text === texts[0])
      ? [block(texts[0]!)]
      : texts.flatMap((text, k) => [`${whole(rows[k]!)} rows:`, block(text)])
  }
  const grouped = found.some(({ inGroups }) => inGroups.length > 0)
  return [
    `### ${name}`,
    ...blocks(({ alone }) => alone),
    ...grouped ? ["Many at once:", ...blocks(({ inGroups }) => inGroups)] : [],
  ].join("\n\n")
}

/** Markdown that still has to be formatted, and the operations that cost too much more. */
export const render = (report: Report) => {
  const many = costs(
    report,
    `requests/s, ${report.connections} connections`,
    ({ rate }) => rate ?? NaN,
    whole,
    (first, last) => first / last,
  )
  const one = costs(
    report,
    "p50 ms, one connection",
    ({ p50 }) => p50,
    (value) => value.toFixed(2),
    (first, last) => last / first,
  )
  const steep = report.operations
    .filter((_, k) => many.ratios[k]! > allowed || one.ratios[k]! > allowed)
    .map(({ name }) => name)
  const verdict = steep.length === 0
    ? `Every operation costs at most ${allowed} times as much with the most rows as with the fewest.`
    : `More than ${allowed} times as much with the most rows as with the fewest: ${
      steep.join(", ")
    }.`
  const text = [
    "# Results of `deno task bench:growth`",
    `${new Date().toISOString().slice(0, 10)}, ${Machine.describe()}. PostgreSQL ` +
    `${report.version}: ${report.settings}, in which all tables and indexes are from the start. ` +
    `Users, refresh tokens and login attempts have as many rows each as ` +
    `the column says, in databases of one server; the requests are spread over all of them. Medians ` +
    `of ${report.rounds} rounds that interleave the sizes.`,
    "After a checkpoint, the first change of each page writes the whole page into WAL unless " +
    "full_page_writes is off. Runs of seconds would be all first changes in large tables and hardly " +
    "any in small ones; between checkpoints minutes apart they are few.",
    verdict,
    many.text,
    one.text,
    "A clean-up is one request that deletes 5,000 rows.",
    "## Plans",
    "What auto_explain logs of the service's own statements, without costs and values; where not " +
    "said otherwise, the same for all sizes. Requests that come many at once share statements, " +
    "which have plans of their own.",
    ...report.operations.map((operation) => plansOf(report, operation)),
  ].join("\n\n") + "\n"
  return { text, steep }
}
