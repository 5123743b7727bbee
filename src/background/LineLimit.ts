/**
 * A limit on entries of the log that strangers or an outage can cause any number of: those beyond it
 * are counted, and how many there were is an entry of its own.
 */
import { Duration, Effect } from "effect"

export interface LineLimitOptions {
  readonly perSecond: number
  /** The entry about those that were left out in one second, at least one. */
  readonly leftOut: (count: number) => Effect.Effect<void>
}

const second = Duration.seconds(1)

/** Makes a function that writes an entry, or counts it; what was left out is told, at the end as well. */
export const makeLineLimit = Effect.fnUntraced(
  function* ({ perSecond, leftOut }: LineLimitOptions) {
    const scope = yield* Effect.scope
    let written = 0
    let left = 0
    const endSecond = Effect.suspend(() => {
      const count = left
      written = left = 0
      return count === 0 ? Effect.void : leftOut(count)
    })
    yield* Effect.addFinalizer(() => endSecond)
    return (entry: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (written >= perSecond) {
          left++
          return Effect.void
        }
        written++
        return written === 1
          ? Effect.andThen(entry, Effect.forkIn(Effect.delay(endSecond, second), scope))
          : entry
      })
  },
)
