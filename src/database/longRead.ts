/**
 * Reads of very many rows, kept to a part of the pool.
 */
import { Effect, RcMap } from "effect"
import { Bulkhead } from "./Bulkhead.ts"

/**
 * Makes a function for such reads, of which equal calls that wait share one. What has begun is no
 * longer shared, so that each caller sees all that was written before it asked; it is ended when the
 * last of its callers has gone.
 */
export const makeLongRead = Effect.fnUntraced(function* <Call extends object, A, E>(
  read: (call: Call) => Effect.Effect<A, E>,
) {
  const { longReads } = yield* Bulkhead
  const waiting: RcMap.RcMap<Call, A, E> = yield* RcMap.make({
    lookup: (call: Call) =>
      longReads.withPermit(call)(Effect.andThen(RcMap.invalidate(waiting, call), read(call))),
  })
  return (call: Call) => Effect.scoped(RcMap.get(waiting, call))
})
