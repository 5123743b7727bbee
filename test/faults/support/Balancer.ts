/**
 * What stands before replicas: it asks each whether it is ready, and sends requests to those that are.
 */
import { Effect, Schedule } from "effect"
import type { Client } from "./Client.ts"

export interface Balancer {
  /** Where requests may go now. */
  readonly ports: () => ReadonlyArray<number>
  /** Adds a replica, and waits until it takes requests. */
  readonly add: (port: number) => Effect.Effect<void>
}

/** Asks until the scope closes; a replica that is gone is not ready. */
export const make = Effect.fnUntraced(function* (client: Client) {
  const replicas = new Set<number>()
  const ready = new Set<number>()
  const look = Effect.suspend(() =>
    Effect.forEach(
      replicas,
      (port) =>
        Effect.map(client(port, { method: "GET", path: "/readyz" }), (outcome) => {
          if (outcome._tag === "Answered" && outcome.answer.status === 200) ready.add(port)
          else ready.delete(port)
        }),
      { concurrency: "unbounded", discard: true },
    )
  )
  yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced("100 millis")))
  const balancer: Balancer = {
    ports: () => [...ready],
    add: (port) => {
      replicas.add(port)
      const isReady = Effect.sync(() => ready.has(port))
      return Effect.asVoid(
        Effect.repeat(isReady, { until: (is) => is, schedule: Schedule.spaced("20 millis") }),
      )
    },
  }
  return balancer
})
