import { Effect } from "effect"

/**
 * Completes once data that has already arrived is read: two turns of the event loop, since the first may
 * be half over.
 */
export const arrivals = Effect.callback<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})
