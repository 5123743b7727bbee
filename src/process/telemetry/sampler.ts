/**
 * Which traces are exported.
 */
import { Option, Tracer } from "effect"
import type { Sampler } from "../../config/telemetry/TelemetrySettings.ts"

/**
 * Whether a share of all traces, 0 to 1, has this one in it: by the last 64 bits of its id, as the SDKs
 * for Go and Python decide, so that services with the same share export the same traces.
 */
export const isInShare = (traceId: string, ratio: number): boolean =>
  BigInt(`0x${traceId.slice(-16)}`) < BigInt(Math.round(ratio * 2 ** 64))

type SpanOptions = Parameters<Tracer.Tracer["span"]>[0]

/** None where the id of a trace that has none yet decides. */
const decide = ({ parentBased, ratio }: Sampler, { parent, links }: SpanOptions) => {
  if (Option.isSome(parent) && parentBased) return parent.value.sampled
  // What was done for several traces is in those that are exported.
  if (Option.isNone(parent) && links.length > 0) return links.some(({ span }) => span.sampled)
  if (ratio === 0 || ratio === 1) return ratio === 1
  return Option.isSome(parent) ? isInShare(parent.value.traceId, ratio) : undefined
}

const spanOf = (tracer: Tracer.Tracer, options: SpanOptions, sampled: boolean) =>
  tracer.span(options.sampled === sampled ? options : { ...options, sampled })

/** A tracer that leaves out the spans of other traces. */
export const sampledTracer = (sampler: Sampler, tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    context: tracer.context,
    span: (options) => {
      const decided = decide(sampler, options)
      if (decided !== undefined) return spanOf(tracer, options, decided)
      // Ids are made by spans. That of one that nobody gets to see may be another than the one refused.
      const span = spanOf(tracer, options, true)
      return isInShare(span.traceId, sampler.ratio) ? span : spanOf(tracer, options, false)
    },
  })
