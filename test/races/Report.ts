/**
 * What came of all pairs, as Markdown.
 */
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { OperationPair } from "./fixtures.ts"
import type { Order } from "./judge.ts"
import { operations } from "./step.ts"

interface Count {
  runs: number
  violations: number
  first: number
  second: number
  either: number
  /** Runs whose calls were not seen to meet before they were let go. */
  unmet: number
}

const none = (): Count => ({ runs: 0, violations: 0, first: 0, second: 0, either: 0, unmet: 0 })

const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n")

const cell = ({ runs, violations, first, second, either }: Count) =>
  `${runs}, ${violations} (${first}:${second}:${either})`

export class Report extends Context.Service<Report, {
  readonly add: (
    way: string,
    pair: OperationPair,
    order: Order | undefined,
    met: boolean,
  ) => void
}>()("latchkey/test/races/Report") {
  /** Prints the tables at the end if that is wanted. */
  static readonly layer = (isPrinted: boolean) =>
    Layer.effect(
      Report,
      Effect.gen(function* () {
        const byPair = new Map<string, Count>()
        const byWay = new Map<string, Count>()
        const countIn = (counts: Map<string, Count>, key: string) => {
          const count = counts.get(key) ?? none()
          counts.set(key, count)
          return count
        }
        const sql = yield* SqlClient.SqlClient
        yield* Effect.addFinalizer(() =>
          Effect.gen(function* () {
            if (!isPrinted) return
            const parts = [printWays(byWay), printPairs(byPair), yield* printDeadlocks(sql)]
            console.log(`\n${parts.join("\n\n")}\n`)
          }).pipe(Effect.orDie)
        )
        return Report.of({
          add: (way, pair, order, met) => {
            for (const count of [countIn(byPair, pair.join()), countIn(byWay, way)]) {
              count.runs++
              count[order ?? "violations"]++
              if (!met) count.unmet++
            }
          },
        })
      }),
    )
}

const printWays = (counts: ReadonlyMap<string, Count>) =>
  table(
    ["way", "runs", "violations", "first won", "second won", "either", "not seen to meet"],
    [...counts].sort(([a], [b]) => a < b ? -1 : 1).map(([way, count]) => [
      way,
      ...[
        count.runs,
        count.violations,
        count.first,
        count.second,
        count.either,
        count.unmet,
      ].map(String),
    ]),
  )

/** A cell for each pair: runs, violations, and how often the row's operation won, the column's, either. */
const printPairs = (counts: ReadonlyMap<string, Count>) =>
  table(
    ["", ...operations],
    operations.map((first, index) => [
      first,
      ...operations.map((second, other) => {
        const count = other < index ? undefined : counts.get([first, second].join())
        return count === undefined ? "" : cell(count)
      }),
    ]),
  )

/** Transactions that were given up for a deadlock and repeated, so that no answer told of it. */
const printDeadlocks = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ readonly deadlocks: number }>`
      SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()`,
    ([found]) => `Deadlocks that PostgreSQL counted: ${found?.deadlocks ?? "unknown"}`,
  )
