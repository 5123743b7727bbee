/**
 * The server that holds the large tables: one of its own, because it is set up for what is measured.
 */
import { Effect } from "effect"
import { cache } from "../contestants.ts"
import { embedded, partOfMemory, runOn } from "../Database.ts"

const dataDir = `${cache}/growth`

/** Where it says what it does. */
export const serverLog = `${dataDir}/postgres/cluster/postgres.log`

/**
 * Starts it. Half of the memory holds the largest database: how fast the disk is, is not measured.
 *
 * After a checkpoint, the first change of a page writes the whole page into WAL: in a run
 * of seconds each request changes such pages if there are many rows, and hardly any does if there are
 * few, while of the five minutes between two checkpoints it is the first seconds only. So it is off.
 */
export const start = Effect.gen(function* () {
  const server = yield* embedded({ dataDir, settings: { shared_buffers: partOfMemory(1 / 2) } })
  yield* runOn(server, ["ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"])
  return server
})
