/**
 * The parts of a pool that slow work may use: waits for locks and reads of very many rows. Whatever
 * else uses the pool finds a connection soon.
 */
import { Context, Duration, PartitionedSemaphore } from "effect"

export interface Bulkhead {
  /**
   * Half of the connections, for writes that wait for locks; by what they wait for, such as the id of
   * a user, so that those who wait for different locks take turns.
   */
  readonly lockWaits: PartitionedSemaphore.PartitionedSemaphore<string>
  /** How long a write outside of transactions waits for locks in all. */
  readonly lockTimeout: Duration.Duration
  /** A quarter of the connections, for reads of many rows; by what is read. */
  readonly longReads: PartitionedSemaphore.PartitionedSemaphore<unknown>
}

const part = (permits: number) => ({ permits: Math.max(1, Math.floor(permits)) })

/** The parts of a pool of so many connections; one of a single connection cannot be divided. */
export const make = (connections: number, lockTimeout: Duration.Duration): Bulkhead => ({
  lockWaits: PartitionedSemaphore.makeUnsafe(part(connections / 2)),
  lockTimeout,
  longReads: PartitionedSemaphore.makeUnsafe(part(connections / 4)),
})

/** Those of the pool that `Database.layer` makes; of a client from elsewhere, as if it had ten. */
export const Bulkhead = Context.Reference<Bulkhead>("latchkey/database/Bulkhead", {
  defaultValue: () => make(10, Duration.seconds(2)),
})
