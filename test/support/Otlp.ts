/**
 * What an export holds, whichever encoding it comes in: JSON as it is, protobuf read by the message
 * definitions of opentelemetry-proto 1.x, into what is the same in JSON.
 */
import { gunzipSync } from "node:zlib"
import { Schema } from "effect"

type Kind = "string" | "hex" | "varint" | "fixed64" | "double" | "bool" | (() => Message)
type Field = readonly [name: string, kind: Kind, repeated?: "repeated"]
type Message = Readonly<Record<number, Field>>

const AnyValue: Message = {
  1: ["stringValue", "string"],
  2: ["boolValue", "bool"],
  3: ["intValue", "varint"],
  4: ["doubleValue", "double"],
  5: ["arrayValue", () => ({ 1: ["values", () => AnyValue, "repeated"] })],
}
const KeyValue: Message = { 1: ["key", "string"], 2: ["value", () => AnyValue] }
const attributes: Field = ["attributes", () => KeyValue, "repeated"]
const Resource: Message = { 1: attributes }
const Scope: Message = { 1: ["name", "string"], 2: ["version", "string"] }
const Event: Message = { 1: ["timeUnixNano", "fixed64"], 2: ["name", "string"], 3: attributes }
const Link: Message = { 1: ["traceId", "hex"], 2: ["spanId", "hex"], 4: attributes }
const Status: Message = { 2: ["message", "string"], 3: ["code", "varint"] }
const Span: Message = {
  1: ["traceId", "hex"],
  2: ["spanId", "hex"],
  4: ["parentSpanId", "hex"],
  5: ["name", "string"],
  6: ["kind", "varint"],
  7: ["startTimeUnixNano", "fixed64"],
  8: ["endTimeUnixNano", "fixed64"],
  9: attributes,
  10: ["droppedAttributesCount", "varint"],
  11: ["events", () => Event, "repeated"],
  12: ["droppedEventsCount", "varint"],
  13: ["links", () => Link, "repeated"],
  14: ["droppedLinksCount", "varint"],
  15: ["status", () => Status],
}
const Sum: Message = { 2: ["aggregationTemporality", "varint"], 3: ["isMonotonic", "bool"] }
const Metric: Message = { 1: ["name", "string"], 3: ["unit", "string"], 7: ["sum", () => Sum] }
const LogRecord: Message = {
  1: ["timeUnixNano", "fixed64"],
  3: ["severityText", "string"],
  5: ["body", () => AnyValue],
  6: attributes,
  9: ["traceId", "hex"],
  10: ["spanId", "hex"],
}

const exportOf = (resources: string, scopes: string, items: string, item: Message): Message => ({
  1: [resources, () => ({
    1: ["resource", () => Resource],
    2: [
      scopes,
      () => ({ 1: ["scope", () => Scope], 2: [items, () => item, "repeated"] }),
      "repeated",
    ],
  }), "repeated"],
})

const exports: Readonly<Record<string, Message>> = {
  traces: exportOf("resourceSpans", "scopeSpans", "spans", Span),
  metrics: exportOf("resourceMetrics", "scopeMetrics", "metrics", Metric),
  logs: exportOf("resourceLogs", "scopeLogs", "logRecords", LogRecord),
}

/** Reads a message; fields that its definition leaves out are skipped. */
const decode = (bytes: Uint8Array, message: Message): Readonly<Record<string, unknown>> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const repeated = Object.values(message).filter((field) => field[2] === "repeated")
  const lists = new Map(repeated.map(([name]) => [name, Array<unknown>()]))
  const found: Record<string, unknown> = Object.fromEntries(lists)
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n;; shift += 7n) {
      const byte = view.getUint8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const contentOf = (wireType: number) => {
    const start = at
    if (wireType === 0) return { number: varint(), content: bytes.subarray(start, at) }
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : Number(varint())
    const content = bytes.subarray(at, at + length)
    at += length
    return { number: 0n, content }
  }
  const valueOf = (kind: Kind, { number, content }: ReturnType<typeof contentOf>): unknown => {
    if (typeof kind === "function") return decode(content, kind())
    const contentView = new DataView(content.buffer, content.byteOffset, content.byteLength)
    return {
      string: () => new TextDecoder().decode(content),
      hex: () => Buffer.from(content).toString("hex"),
      varint: () => Number(BigInt.asIntN(64, number)),
      bool: () => number !== 0n,
      fixed64: () => String(contentView.getBigUint64(0, true)),
      double: () => contentView.getFloat64(0, true),
    }[kind]()
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const content = contentOf(tag & 7)
    const field = message[tag >> 3]
    if (field === undefined) continue
    const [name, kind] = field
    const list = lists.get(name)
    if (list === undefined) found[name] = valueOf(kind, content)
    else list.push(valueOf(kind, content))
  }
  return found
}

const Value = Schema.Struct({
  stringValue: Schema.optional(Schema.String),
  boolValue: Schema.optional(Schema.Boolean),
  intValue: Schema.optional(Schema.Union([Schema.Finite, Schema.FiniteFromString])),
  doubleValue: Schema.optional(Schema.Finite),
  arrayValue: Schema.optional(
    Schema.Struct({ values: Schema.Array(Schema.Struct({ stringValue: Schema.String })) }),
  ),
})

/** Attributes as a record. */
const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Value }))

const count = Schema.optional(Schema.Finite)

const SpanShape = Schema.Struct({
  traceId: Schema.String,
  spanId: Schema.String,
  parentSpanId: Schema.optional(Schema.String),
  name: Schema.String,
  kind: Schema.Finite,
  attributes: Attributes,
  droppedAttributesCount: count,
  events: Schema.Array(Schema.Struct({ name: Schema.String, attributes: Attributes })),
  links: Schema.Array(Schema.Struct({ traceId: Schema.String, spanId: Schema.String })),
  droppedLinksCount: count,
  status: Schema.Struct({ code: count, message: Schema.optional(Schema.String) }),
})

const MetricShape = Schema.Struct({
  name: Schema.String,
  unit: Schema.optional(Schema.String),
  sum: Schema.optional(Schema.Struct({ aggregationTemporality: Schema.Finite })),
})

const LogShape = Schema.Struct({
  severityText: Schema.String,
  body: Value,
  attributes: Attributes,
  traceId: Schema.optional(Schema.String),
  spanId: Schema.optional(Schema.String),
})

const resource = Schema.Struct({ attributes: Attributes })

const Traces = Schema.Struct({
  resourceSpans: Schema.Array(Schema.Struct({
    resource,
    scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(SpanShape) })),
  })),
})
const Metrics = Schema.Struct({
  resourceMetrics: Schema.Array(Schema.Struct({
    resource,
    scopeMetrics: Schema.Array(Schema.Struct({ metrics: Schema.Array(MetricShape) })),
  })),
})
const Logs = Schema.Struct({
  resourceLogs: Schema.Array(Schema.Struct({
    resource,
    scopeLogs: Schema.Array(Schema.Struct({ logRecords: Schema.Array(LogShape) })),
  })),
})

type Attribute = (typeof Attributes.Type)[number]

/** Attributes by their names, each the one value that it has. */
export const valuesOf = (attributes: ReadonlyArray<Attribute>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(attributes.map(({ key, value }) => [
    key,
    value.arrayValue?.values.map(({ stringValue }) => stringValue) ?? Object.values(value)[0],
  ]))

export type Span = typeof SpanShape.Type

/** An export as it came over the wire. */
export interface Sent {
  readonly contentType: string
  readonly contentEncoding: string | undefined
  readonly body: Uint8Array
}

const read = (signal: string, { contentType, contentEncoding, body }: Sent): unknown => {
  const bytes = contentEncoding === "gzip" ? gunzipSync(body) : body
  if (contentType.startsWith("application/json")) {
    return JSON.parse(new TextDecoder().decode(bytes))
  }
  const message = exports[signal]
  if (message === undefined || contentType !== "application/x-protobuf") {
    throw new TypeError(`${signal} in ${contentType}`)
  }
  return decode(bytes, message)
}

/** What a collector takes from an export of a signal; fails where it is not what it should be. */
export const readExport = (signal: string, sent: Sent) => {
  const data = read(signal, sent)
  const traces = signal === "traces" ? Schema.decodeUnknownSync(Traces)(data).resourceSpans : []
  const metrics = signal === "metrics"
    ? Schema.decodeUnknownSync(Metrics)(data).resourceMetrics
    : []
  const logs = signal === "logs" ? Schema.decodeUnknownSync(Logs)(data).resourceLogs : []
  return {
    resources: [...traces, ...metrics, ...logs].map(({ resource }) =>
      valuesOf(resource.attributes)
    ),
    spans: traces.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    metrics: metrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics)),
    logs: logs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords)),
  }
}
