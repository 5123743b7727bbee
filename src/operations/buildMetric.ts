/** What runs, as a metric: dashboards mark a deployment with it. */
import { Layer, Metric } from "effect"

const info = Metric.gauge("build_info", { description: "What runs here; the value is always 1" })

export const layer = ({ version, commit }: { readonly version: string; readonly commit: string }) =>
  Layer.effectDiscard(Metric.update(Metric.withAttributes(info, { version, commit }), 1))
