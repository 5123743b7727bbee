/**
 * What the service counts, in Prometheus' text format
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
import { Context, Effect, Layer } from "effect"
import { PrometheusMetrics } from "effect/observability"

/** Those of processes have the same names in every program. */
const prefixed = (name: string) => name.startsWith("process_") ? name : `latchkey_${name}`

export class Metrics extends Context.Service<Metrics, {
  readonly format: Effect.Effect<string>
}>()("latchkey/operations/Metrics") {
  /** Those of this thread. */
  static readonly layer = Layer.effect(
    Metrics,
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.succeed(Metrics.of({
        format: Effect.provideContext(
          PrometheusMetrics.format({ metricNameMapper: prefixed }),
          context,
        ),
      }))
    ),
  )
}

interface Family {
  readonly name: string
  readonly comments: Set<string>
  readonly values: Map<string, number>
}

const emptyFamily = (name: string): Family => ({ name, comments: new Set(), values: new Map() })

const familyOf = (comment: string) => comment.split(" ", 3)[2] ?? ""

/** What is no amount, by the ends of its name: what counts is what all have alike, or somebody may
 * have to look into. */
const combinations: ReadonlyArray<
  readonly [ending: string, combine: (left: number, right: number) => number]
> = [
  ["_timestamp_seconds", Math.min],
  ["_lag_seconds", Math.max],
  ["_version", Math.max],
  ["_keys", Math.max],
]

const combine = (name: string, left: number, right: number) => {
  const found = combinations.find(([ending]) => name.endsWith(ending))
  return found === undefined ? left + right : found[1](left, right)
}

/** Joins texts of metrics that count the same things in several places: all that are amounts are added up. */
export const addMetrics = (texts: ReadonlyArray<string>): string => {
  const families = new Map<string, Family>()
  for (const text of texts) {
    let family = emptyFamily("")
    for (const line of text.split("\n")) {
      if (line.startsWith("#")) {
        const name = familyOf(line)
        family = families.get(name) ?? emptyFamily(name)
        families.set(name, family)
        family.comments.add(line)
      } else if (line !== "") {
        const end = line.lastIndexOf(" ")
        const series = line.slice(0, end)
        const value = Number(line.slice(end + 1))
        const before = family.values.get(series)
        family.values.set(
          series,
          before === undefined ? value : combine(family.name, before, value),
        )
      }
    }
  }
  const lines = Array.from(families.values()).flatMap(({ comments, values }) => [
    ...comments,
    ...Array.from(values, ([series, value]) => `${series} ${value}`),
  ])
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`
}
