/**
 * One line of the table for each fault, and what is wrong with it.
 */
import { table } from "../../../bench/report.ts"
import type { Seen } from "./Load.ts"
import type { Found } from "./verify.ts"
import type { Watched } from "./watch.ts"

/** Lines that a service may write for one fault: its log tells of an outage, not of each request. */
const linesAllowed = 300

export interface Outcome {
  readonly title: string
  readonly seen: Seen
  readonly watched: Watched
  readonly found: Found
  /** Seconds from a new primary until each service has had a write acknowledged. */
  readonly followed: number
}

const byName = (counts: ReadonlyMap<string, number>) =>
  [...counts].toSorted(([one], [other]) => one < other ? -1 : 1)
    .map(([name, count]) => `${name}: ${count}`).join(", ") || "none"

const linesIn = (log: string) => log.split("\n").filter((line) => line !== "").length

const linesOf = ({ logs }: Watched) => Math.max(...logs.map(linesIn))

/** Sentences about what must not be. */
export const problemsOf = (
  { title, seen: { violations }, watched, found }: Outcome,
): ReadonlyArray<string> =>
  [
    ...violations,
    ...Object.entries(found).filter(([, count]) => count > 0)
      .map(([what, count]) => `${what}: ${count}`),
    ...linesOf(watched) > linesAllowed ? [`${linesOf(watched)} lines of log`] : [],
  ].map((problem) => `${title}: ${problem}`)

/** The table, as Markdown. */
export const render = (outcomes: ReadonlyArray<Outcome>): string =>
  table(
    [
      "fault",
      "no write, s",
      "no read, s",
      "new primary to write, s",
      "slowest answer, s",
      "answers",
      "not ready, s",
      "statements failed, by class",
      "lines of log",
      "lost, twice, wrongly valid, differently",
    ],
    outcomes.map(({ title, seen, watched, found, followed }) => [
      title,
      seen.noWrite.toFixed(1),
      seen.noRead.toFixed(1),
      followed.toFixed(1),
      seen.slowest.toFixed(1),
      byName(seen.answers),
      `${watched.unready.toFixed(1)} (${[...watched.reasons].toSorted().join(", ") || "none"})`,
      byName(watched.errors),
      String(linesOf(watched)),
      `${found.lost}, ${found.twice}, ${found.wronglyValid}, ${found.differently}`,
    ]),
  )
