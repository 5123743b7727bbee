/**
 * Replacing all connections of some pools: after a failover they lead to a server that does not write.
 */
import { Duration, Effect } from "effect"

/** How often a line of the log may be repeated while statements fail for the same reason. */
export const quietTime = Duration.minutes(1)

/** How often all connections may be replaced: a server may be read-only on purpose, and for long. */
const retirementInterval = Duration.seconds(5)

/** Lets an effect run at most once in a time; for the others it is as if there were none. */
export const atMostEvery = (interval: Duration.Duration) => {
  let next = Number.NEGATIVE_INFINITY
  return <R>(effect: Effect.Effect<void, never, R>) =>
    Effect.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      if (now < next) return Effect.void
      next = now + Duration.toMillis(interval)
      return effect
    })
}

/** The connections of some pools, as far as they may be used; made anew, one generation is replaced. */
export interface Generations {
  current: number
  /**
   * Where the newest connection leads to, if all must lead to one server: the others are left when they
   * are wanted next. An old primary may live on, and what was idle at it would read old rows.
   */
  onlyAt: string | undefined
  /** Replaces all connections of now when they are wanted next. */
  readonly replace: Effect.Effect<void>
}

export const makeGenerations = (): Generations => {
  const seldom = atMostEvery(retirementInterval)
  const quietly = atMostEvery(quietTime)
  const generations: Generations = {
    current: 0,
    onlyAt: undefined,
    replace: seldom(Effect.suspend(() => {
      generations.current++
      return quietly(
        Effect.logWarning(
          "The database is read-only; its connections are replaced, since the name of the server " +
            "may lead to another one by now",
        ),
      )
    })),
  }
  return generations
}
