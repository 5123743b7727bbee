/**
 * How hard properties are tried, and how a failure is tried again.
 *
 * - `PROPERTY_EFFORT`: how many times as many runs as usual, for example 100 for a long soak.
 * - `PROPERTY_SEED`: generates the same inputs each time.
 * - `PROPERTY_REPLAY`: the token that a failure prints; runs only the input that failed. For one
 *   test at a time, chosen with vitest's `-t`.
 */
import { type Arbitrary, Config, Effect, Option } from "effect"

const { effort, seed, replay } = Effect.runSync(
  Config.all({
    effort: Config.withDefault(Config.Int("PROPERTY_EFFORT"), 1),
    seed: Config.option(Config.String("PROPERTY_SEED")),
    replay: Config.option(Config.String("PROPERTY_REPLAY")),
  }),
)

/** Options of a property that is tried this many times. */
export const checks = (runs: number, options: Arbitrary.CheckOptions = {}) => ({
  timeout: 600_000 * effort,
  arbitrary: {
    ...options,
    runs: runs * effort,
    seed: Option.getOrUndefined(seed),
    replay: Option.getOrUndefined(replay),
  },
})
