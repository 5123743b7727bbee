/**
 * Whether one of the two orders of a pair explains what both answered and what the database holds then.
 */
import { type Call, type Operation, step } from "./step.ts"
import { describeWorld, isLive, type TokenName, type World } from "./World.ts"

export interface Observed {
  /** In the order of the pair. */
  readonly answers: readonly [string, string]
  readonly world: World
  /** Milliseconds since the epoch. */
  readonly createdAt: ReadonlyMap<TokenName, number>
  readonly revokedAt: ReadonlyMap<TokenName, number>
}

export type Pair = readonly [Call, Call]

/** The first operation of the pair came first, the second did, or either may have. */
export type Order = "first" | "second" | "either"

/** Of these, what is created afterwards is no older than what they revoke. */
const dated: ReadonlySet<Operation> = new Set([
  "revokeSession",
  "revokeAll",
  "password",
  "google",
])

/** Whether a token that `later` has added is no older than what `earlier` has revoked. */
const isDated = (
  before: World,
  between: World,
  [earlier, later]: Pair,
  { createdAt, revokedAt }: Observed,
) => {
  const created = createdAt.get(later.index === 1 ? "by 1" : "by 2")
  if (created === undefined || !dated.has(earlier.operation)) return true
  return before.tokens.filter(isLive).every(({ name }) => {
    const revokedBetween = between.tokens.some((token) =>
      token.name === name && token.status.startsWith("revoked")
    )
    return !revokedBetween || (revokedAt.get(name) ?? 0) <= created
  })
}

const isExplainedBy = (before: World, [earlier, later]: Pair, observed: Observed) => {
  const one = step(before, earlier, before)
  const two = step(one.world, later, before)
  return one.answer === observed.answers[earlier.index - 1] &&
    two.answer === observed.answers[later.index - 1] &&
    describeWorld(two.world) === describeWorld(observed.world) &&
    isDated(before, one.world, [earlier, later], observed)
}

/** None where no order explains it. */
export const explain = (before: World, [a, b]: Pair, observed: Observed): Order | undefined => {
  const first = isExplainedBy(before, [a, b], observed)
  const second = isExplainedBy(before, [b, a], observed)
  return first && second ? "either" : first ? "first" : second ? "second" : undefined
}

/** What both orders would have been, for a message. */
export const describeOrders = (before: World, [a, b]: Pair) =>
  ([[a, b], [b, a]] as const).map(([earlier, later]) => {
    const one = step(before, earlier, before)
    const two = step(one.world, later, before)
    return [
      `${earlier.index} (${earlier.operation}): ${one.answer}`,
      `${later.index} (${later.operation}): ${two.answer}`,
      describeWorld(two.world),
    ].join("\n")
  })
