/**
 * The file that PostgreSQL writes its messages to. It is the account's: whatever is done with it is
 * done by scripts that run as the account.
 */
import { Effect } from "effect"
import { script } from "./Account.ts"
import type { DataDir } from "./DataDir.ts"

/** Bytes that the file may grow to, but for a minute's. As much again is kept of the past. */
const limit = 10 * 1024 ** 2

/**
 * A shell function that keeps the file in bounds. PostgreSQL holds it open and appends: it is
 * emptied, since renaming it would not end that.
 */
export const boundLog = `
bound_log() {
  if [ -f "$1" ] && [ "$(wc -c <"$1")" -gt ${limit} ]; then
    rm -f -- "$1.old"
    cp -- "$1" "$1.old"
    : >"$1"
  fi
}
`

/** Brings the file in bounds, and returns where in it the next message will be written. */
export const end = Effect.fn("ServerLog.end")(function* ({ account, log }: DataDir) {
  const size = yield* script(
    account,
    `${boundLog}
bound_log "$1"
if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi`,
    [log],
  )
  return Number(size)
})

/** The last lines that were written since `offset`. */
export const tail = Effect.fn("ServerLog.tail")(function* (
  { account, log }: DataDir,
  offset: number,
) {
  return yield* script(
    account,
    `[ -f "$1" ] || exit 0
tail -c "+$(($2 + 1))" -- "$1" | tail -c 4096 | tail -n 10`,
    [log, String(offset)],
  )
})
