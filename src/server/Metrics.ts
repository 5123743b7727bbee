/**
 * What the service counts, in Prometheus' text format
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
import { Context, Effect, Layer } from "effect"
import { PrometheusMetrics } from "effect/observability"

export class Metrics extends Context.Service<Metrics, {
  readonly format: Effect.Effect<string>
}>()("latchkey/server/Metrics") {
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
  readonly comments: Set<string>
  readonly sums: Map<string, number>
}

const familyOf = (comment: string) => comment.split(" ", 3)[2] ?? ""

/** Adds up texts of metrics that count the same things in several places; all of them are sums. */
export const addMetrics = (texts: ReadonlyArray<string>): string => {
  const families = new Map<string, Family>()
  for (const text of texts) {
    let family: Family = { comments: new Set(), sums: new Map() }
    for (const line of text.split("\n")) {
      if (line.startsWith("#")) {
        const name = familyOf(line)
        family = families.get(name) ?? { comments: new Set(), sums: new Map() }
        families.set(name, family)
        family.comments.add(line)
      } else if (line !== "") {
        const end = line.lastIndexOf(" ")
        const series = line.slice(0, end)
        family.sums.set(series, (family.sums.get(series) ?? 0) + Number(line.slice(end + 1)))
      }
    }
  }
  const lines = Array.from(families.values()).flatMap(({ comments, sums }) => [
    ...comments,
    ...Array.from(sums, ([series, sum]) => `${series} ${sum}`),
  ])
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`
}
