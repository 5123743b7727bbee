/**
 * What the service counts, in Prometheus' text format
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
import { Context, Effect, Layer } from "effect"
import { PrometheusMetrics } from "effect/observability"

export class Metrics extends Context.Service<Metrics, {
  readonly format: Effect.Effect<string>
}>()("latchkey/operations/Metrics") {
  /** Those of this thread. */
  static readonly layer = Layer.effect(
    Metrics,
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.succeed(Metrics.of({
        format: Effect.provideContext(PrometheusMetrics.format({ prefix: "latchkey" }), context),
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

/** Of points in time the earliest counts: it is the one that somebody may have to look into. */
const combine = (name: string, left: number, right: number) =>
  name.endsWith("_timestamp_seconds") ? Math.min(left, right) : left + right

/** Joins texts of metrics that count the same things in several places: all but times are added up. */
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
