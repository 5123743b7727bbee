/**
 * Metrics whose values are looked at when somebody asks, not kept up to date with each change.
 */
import { type Context, Effect, Metric } from "effect"

const observe = <Input, State>(metric: Metric.Metric<Input, State>, get: () => State) =>
  Effect.acquireRelease(
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.sync(() =>
        Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} })
      )
    ),
    (registration) => Effect.sync(() => registration.remove()),
  )

/** Has a gauge tell what a function gives, until the scope closes. */
export const observeGauge = (gauge: Metric.Gauge<number>, value: () => number) =>
  observe(gauge, () => ({ value: value() }))

/** The same for a counter of something that never falls. */
export const observeCounter = (counter: Metric.Counter<number>, count: () => number) =>
  observe(counter, () => ({ count: count(), incremental: true }))
