/**
 * The access log: an entry for a request that was answered, without anything of its path and query,
 * which carry addresses and hashes.
 */
import { Effect } from "effect"
import { makeLineLimit } from "../background/LineLimit.ts"
import { type Ended, logFieldsOf, unmatched } from "./requestRecord.ts"

/**
 * Which requests have an entry: all, or only those that were answered with a status from 500 on, and
 * callers that were refused; of these at most ten a second each, and a number for the rest.
 */
export type AccessLogMode = "off" | "errors" | "all"

export type AccessLog = (ended: Ended) => void

const isRefusedCaller = (status: number | undefined) => status === 401 || status === 403

const isFailure = (status = 0) => status >= 500

const entryOf = ({ record, status, socket }: Ended): Effect.Effect<void> => {
  const message = record.method === ""
    ? `Malformed request: ${status}`
    : `${record.method} ${record.route?.template ?? unmatched}: ${status ?? "the client hung up"}`
  const isOdd = isFailure(status) || isRefusedCaller(status)
  return (isOdd ? Effect.logWarning(message) : Effect.logInfo(message)).pipe(
    Effect.annotateLogs({
      ...logFieldsOf(record),
      status,
      durationMs: Math.round((performance.now() - record.startedAt) * 100) / 100,
      // Of a caller with a key, its name says who it is.
      address: record.keyName === undefined ? socket.remoteAddress : undefined,
    }),
  )
}

const perSecond = 10

/** Makes the access log; what it leaves out is told at the latest when its scope closes. */
export const makeAccessLog = Effect.fnUntraced(function* (mode: AccessLogMode) {
  const runFork = Effect.runForkWith(yield* Effect.context())
  const limitOn = (what: string) =>
    makeLineLimit({
      perSecond,
      leftOut: (count) =>
        Effect.logWarning(`${count} more ${what} within a second`).pipe(
          Effect.annotateLogs({ leftOut: count }),
        ),
    })
  const failures = yield* limitOn("requests were answered with 5xx")
  const refusals = yield* limitOn("callers were refused")
  const write: AccessLog = mode === "off"
    ? () => {}
    : mode === "all"
    ? (ended) => void runFork(entryOf(ended))
    : (ended) => {
      if (isRefusedCaller(ended.status)) runFork(refusals(entryOf(ended)))
      // A 500 has an entry of its own, with the reason.
      else if (isFailure(ended.status) && ended.status !== 500) {
        runFork(failures(entryOf(ended)))
      }
    }
  return write
})
