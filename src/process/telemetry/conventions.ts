/**
 * What Effect exports, in the words of OpenTelemetry's conventions
 * (https://opentelemetry.io/docs/specs/semconv/), and within limits.
 *
 * Effect names the span of a statement by its database, says of every span that did not fail that it is
 * Ok, which is for applications to say, and counts everything in `1`.
 */
import { OtlpLogger, OtlpMetrics, OtlpResource, OtlpTracer } from "effect/observability"
import type { Limits } from "../../config/telemetry/TelemetrySettings.ts"
import { makeSummarize } from "./statementSummary.ts"

type Attributes = Array<OtlpResource.KeyValue>
type Span = OtlpTracer.ScopeSpan["spans"][number]

const status = { unset: 0, ok: 1, error: 2 } as const
const client = 3

const textOf = (attributes: Attributes, key: string) =>
  attributes.find((attribute) => attribute.key === key)?.value.stringValue ?? undefined

/** Whoever knows what went wrong with work that was done tells its `error.type`. */
const statusOf = (span: Span): Span["status"] => {
  if (span.status.code === status.error) return span.status
  return { code: textOf(span.attributes, "error.type") === undefined ? status.unset : status.error }
}

const cut = ({ key, value }: OtlpResource.KeyValue, length: number): OtlpResource.KeyValue => {
  const { stringValue, arrayValue } = value
  if (arrayValue !== undefined) {
    const values = arrayValue.values.map((value) => cut({ key, value }, length).value)
    return { key, value: { arrayValue: { values } } }
  }
  return typeof stringValue === "string" && stringValue.length > length
    ? { key, value: { stringValue: stringValue.slice(0, length) } }
    : { key, value }
}

interface Limited<A> {
  readonly kept: Array<A>
  readonly dropped: number
}

const atMost = <A>(items: Array<A>, count: number): Limited<A> =>
  items.length <= count
    ? { kept: items, dropped: 0 }
    : { kept: items.slice(0, count), dropped: items.length - count }

const limitAttributes = (attributes: Attributes, count: number, length: number) => {
  const { kept, dropped } = atMost(attributes, count)
  return {
    attributes: length === Infinity ? kept : kept.map((attribute) => cut(attribute, length)),
    droppedAttributesCount: dropped,
  }
}

const limitSpan = (span: Span, limits: Limits): Span => {
  const events = atMost(span.events, limits.eventCount)
  const links = atMost(span.links, limits.linkCount)
  const of = (attributes: Attributes, count: number) =>
    limitAttributes(attributes, count, limits.attributeLength)
  return {
    ...span,
    ...of(span.attributes, limits.attributeCount),
    events: events.kept.map((event) => ({
      ...event,
      ...of(event.attributes, limits.eventAttributeCount),
    })),
    droppedEventsCount: events.dropped,
    links: links.kept.map((link) => ({
      ...link,
      ...of(link.attributes, limits.linkAttributeCount),
    })),
    droppedLinksCount: links.dropped,
  }
}

/** Makes a function that names spans, says which failed, and cuts what is too much. */
export const makeConventionalTraces = (limits: Limits) => {
  const summarize = makeSummarize()
  const conventional = (span: Span): Span => {
    const told = { ...span, status: statusOf(span) }
    const statement = span.kind === client ? textOf(span.attributes, "db.query.text") : undefined
    if (statement === undefined) return limitSpan(told, limits)
    const name = summarize(statement)
    const summary = { key: "db.query.summary", value: { stringValue: name } }
    return limitSpan({ ...told, name, attributes: [...span.attributes, summary] }, limits)
  }
  return ({ resourceSpans }: OtlpTracer.TraceData): OtlpTracer.TraceData => ({
    resourceSpans: resourceSpans.map((resource) => ({
      ...resource,
      scopeSpans: resource.scopeSpans.map((scope) => ({
        ...scope,
        spans: scope.spans.map(conventional),
      })),
    })),
  })
}

/** What is counted, by the words in the names of metrics (UCUM's annotations, one of each). */
const counted = [
  "request",
  "connection",
  "statement",
  "transaction",
  "failure",
  "run",
  "attempt",
  "thread",
  "task",
  "call",
  "answer",
  "row",
].map((word) => [new RegExp(`(?:^|_)${word}s?(?:_|$)`), `{${word}}`] as const)

/** The unit of a metric, which its name tells as Prometheus wants it. */
export const unitOf = (name: string): string => {
  const base = name.replace(/_total$/, "")
  if (base.endsWith("_seconds")) return "s"
  if (base.endsWith("_bytes")) return "By"
  if (base.endsWith("_ratio")) return "1"
  if (base === "telemetry_dropped") return "{item}"
  return counted.find(([word]) => word.test(base))?.[1] ?? "1"
}

/** Gives each metric its unit. */
export const conventionalMetrics = (
  { resourceMetrics }: OtlpMetrics.MetricsData,
): OtlpMetrics.MetricsData => ({
  resourceMetrics: resourceMetrics.map((resource) => ({
    ...resource,
    scopeMetrics: resource.scopeMetrics.map((scope) => ({
      ...scope,
      metrics: scope.metrics.map((metric) => ({ ...metric, unit: unitOf(metric.name) })),
    })),
  })),
})

/** Makes a function that cuts what is too much of log records. */
export const makeConventionalLogs =
  ({ attributeCount, attributeLength }: Pick<Limits, "attributeCount" | "attributeLength">) =>
  ({ resourceLogs }: OtlpLogger.LogsData): OtlpLogger.LogsData => ({
    resourceLogs: resourceLogs.map((resource) => ({
      ...resource,
      scopeLogs: resource.scopeLogs.map((scope) => ({
        ...scope,
        logRecords: (scope.logRecords ?? []).map((record) => ({
          ...record,
          ...limitAttributes(record.attributes, attributeCount, attributeLength),
        })),
      })),
    })),
  })
