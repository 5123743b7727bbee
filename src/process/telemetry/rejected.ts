/**
 * How much of an export a collector did not take, though it took the export: OTLP's "partial success"
 * (https://opentelemetry.io/docs/specs/otlp/#partial-success-1). It is not to be sent again.
 */
import { Option, Schema } from "effect"

const count = Schema.optional(Schema.Union([Schema.FiniteFromString, Schema.Finite]))

const Answer = Schema.fromJsonString(Schema.Struct({
  partialSuccess: Schema.optional(Schema.Struct({
    rejectedSpans: count,
    rejectedDataPoints: count,
    rejectedLogRecords: count,
  })),
}))

const inJson = (text: string): number => {
  const { partialSuccess = {} } = Option.getOrElse(
    Schema.decodeUnknownOption(Answer)(text),
    (): typeof Answer.Type => ({}),
  )
  const { rejectedSpans, rejectedDataPoints, rejectedLogRecords } = partialSuccess
  return rejectedSpans ?? rejectedDataPoints ?? rejectedLogRecords ?? 0
}

/** Reads a number in seven bits a byte, from the lowest, and gives where it ends. */
const readVarint = (bytes: Uint8Array, start: number) => {
  let value = 0
  let end = start
  for (let factor = 1; end < bytes.length; factor *= 128) {
    const byte = bytes[end++] ?? 0
    value += (byte & 0x7f) * factor
    if (byte < 0x80) break
  }
  return { value, end }
}

const message = 0x0a
const number = 0x08

/** The first field of the message that is the first field; the collector's words come after it. */
const inProtobuf = (bytes: Uint8Array): number => {
  if (bytes[0] !== message) return 0
  const { end } = readVarint(bytes, 1)
  return bytes[end] === number ? readVarint(bytes, end + 1).value : 0
}

/** How many items the answer to an export says were rejected; none where it cannot be read. */
export const rejectedIn = (contentType: string | undefined, body: Uint8Array): number =>
  contentType?.includes("json") ? inJson(new TextDecoder().decode(body)) : inProtobuf(body)
