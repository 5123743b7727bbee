import { assert, describe, it } from "@effect/vitest"
import { Context, Option, Tracer } from "effect"
import { isInShare, sampledTracer } from "../../../src/process/telemetry/sampler.ts"

const made = {
  name: "span",
  parent: Option.none<Tracer.AnySpan>(),
  annotations: Context.empty(),
  links: [],
  startTime: 0n,
  kind: "internal",
  root: true,
  sampled: true,
} as const

const remote = (sampled: boolean, traceId = "0af7651916cd43dd8448eb211c80319c") =>
  Tracer.externalSpan({ traceId, spanId: "b7ad6b7169203331", sampled })

const isSampled = (
  sampler: { readonly parentBased: boolean; readonly ratio: number },
  { parent, links = [] }: {
    readonly parent?: Tracer.AnySpan
    readonly links?: ReadonlyArray<Tracer.AnySpan>
  } = {},
) =>
  sampledTracer(sampler, Tracer.nativeTracer).span({
    ...made,
    parent: Option.fromUndefinedOr(parent),
    links: links.map((span) => ({ span, attributes: {} })),
  }).sampled

describe("isInShare", () => {
  // What the samplers of the SDKs for Go and Python say of these.
  it.each(
    [
      ["00000000000000000000000000000000", 0.000001, true],
      ["ffffffffffffffff0000000000000000", 0.000001, true],
      ["0000000000000000ffffffffffffffff", 0.999999, false],
      ["0000000000000000ffffffffffffffff", 1, true],
      ["00000000000000007fffffffffffffff", 0.5, true],
      ["00000000000000008000000000000000", 0.5, false],
      ["0af7651916cd43dd8448eb211c80319c", 0.5, false],
      ["0af7651916cd43dd8448eb211c80319c", 0.52, true],
      ["0af7651916cd43dd3fffffffffffffff", 0.25, true],
      ["0af7651916cd43dd4000000000000000", 0.25, false],
      // 64 bits, as b3 has them.
      ["4000000000000000", 0.25, false],
      ["3fffffffffffffff", 0.25, true],
      ["00000000000000000000000000000000", 0, false],
    ] as const,
  )("%s, of %d: %s", (traceId, ratio, expected) => {
    assert.strictEqual(isInShare(traceId, ratio), expected)
  })

  it("has about its share of traces", () => {
    const ids = Array.from({ length: 10_000 }, () => crypto.randomUUID().replaceAll("-", ""))
    // The variant of a UUID takes the first bits, which are never those of a random id.
    const random = ids.map((id) => id.slice(0, 8).repeat(4))
    const share = random.filter((id) => isInShare(id, 0.25)).length / random.length
    assert.isAbove(share, 0.2)
    assert.isBelow(share, 0.3)
  })
})

describe("sampledTracer", () => {
  const low = "00000000000000000000000000000001"
  const high = "0000000000000000ffffffffffffffff"

  it.each(
    [
      [{ parentBased: true, ratio: 1 }, undefined, true],
      [{ parentBased: true, ratio: 1 }, remote(false), false],
      [{ parentBased: true, ratio: 0 }, remote(true), true],
      [{ parentBased: true, ratio: 0 }, undefined, false],
      [{ parentBased: true, ratio: 0.5 }, remote(true, high), true],
      [{ parentBased: true, ratio: 0.5 }, remote(false, low), false],
      [{ parentBased: false, ratio: 1 }, remote(false), true],
      [{ parentBased: false, ratio: 0.5 }, remote(false, low), true],
      [{ parentBased: false, ratio: 0.5 }, remote(true, high), false],
    ] as const,
  )("%j, with the parent %j: %s", (sampler, parent, expected) => {
    assert.strictEqual(isSampled(sampler, parent === undefined ? {} : { parent }), expected)
  })

  it("takes what was done for several traces if one of them is taken", () => {
    const sampler = { parentBased: true, ratio: 0 }
    assert.isTrue(isSampled(sampler, { links: [remote(false), remote(true)] }))
    assert.isFalse(isSampled({ ...sampler, ratio: 1 }, { links: [remote(false), remote(false)] }))
  })

  it("decides on traces of its own by the ids that they are given", () => {
    const tracer = sampledTracer({ parentBased: true, ratio: 0.5 }, Tracer.nativeTracer)
    const spans = Array.from({ length: 1_000 }, () => tracer.span({ ...made, links: [] }))
    const taken = spans.filter(({ sampled }) => sampled)
    for (const { traceId } of taken) assert.isTrue(isInShare(traceId, 0.5))
    assert.isAbove(taken.length, 300)
    assert.isBelow(taken.length, 700)
  })
})
