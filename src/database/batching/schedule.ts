/**
 * When calls that wait are sent, and how many of them as one statement.
 *
 * A call that meets no other is sent at once and alone, so that an idle service waits for nothing. Of
 * whatever arrives until its statement ends, up to half of all calls are the next batch: the busier
 * the service, the larger the batches and the smaller the cost of each call. Where many kinds of calls
 * share the load, each kind by itself would make many small batches; so while much else is going on, a
 * few calls wait a little for more of their kind.
 *
 * A pure function of a state and of what happens; `Batcher` carries out what it says.
 */

/** Calls of one batch at most: enough that more would cost each call no less. */
export const MAX_BATCH_SIZE = 128

/** Calls that are never divided: PostgreSQL has more to do for two small statements than for one. */
const UNDIVIDED_MAX = 8

/** Milliseconds after which a statement that takes long, waiting for a lock perhaps, holds up no others. */
export const SLOW_STATEMENT_MS = 50

/** A batch with this share of all calls is large enough not to wait for more. */
const LARGE_ENOUGH_SHARE = 1 / 6

/** Milliseconds that a smaller batch waits. */
export const HOLD_MS = 5

export interface State {
  /** Calls that were not sent yet. */
  readonly waiting: number
  /** Statements sent so far; the number of each is the count at its time. */
  readonly sent: number
  /** The statement whose end sends those who wait; undefined where none holds them up. */
  readonly awaited: number | undefined
  /** Whether a timer runs that sends those who wait. */
  readonly isTimed: boolean
}

export const idle: State = { waiting: 0, sent: 0, awaited: undefined, isTimed: false }

export type Event =
  | { readonly _tag: "Arrived" }
  | { readonly _tag: "Ended"; readonly statement: number }
  | { readonly _tag: "TimerFired" }
  /** The caller of one that waits has gone. */
  | { readonly _tag: "Withdrawn" }

export interface Step {
  readonly state: State
  /** Calls to be sent as one statement now, from the one that has waited longest; its number is `sent`. */
  readonly send: number
  /** Milliseconds for which to start the timer anew; undefined leaves it as it is. */
  readonly timer: number | "stop" | undefined
}

/**
 * Half of all calls, within bounds: if all were in one batch, the service and PostgreSQL would wait for
 * each other in turns, instead of each working on a half.
 */
const sizeLimit = (calls: number) =>
  Math.min(MAX_BATCH_SIZE, Math.max(UNDIVIDED_MAX, Math.ceil(calls / 2)))

const send = (waiting: number, sent: number, calls: number): Step => {
  const size = Math.min(waiting, sizeLimit(calls))
  if (size === 0) {
    return { state: { waiting, sent, awaited: undefined, isTimed: false }, send: 0, timer: "stop" }
  }
  const statement = sent + 1
  const isTimed = waiting > size
  return {
    state: { waiting: waiting - size, sent: statement, awaited: statement, isTimed },
    send: size,
    timer: isTimed ? SLOW_STATEMENT_MS : "stop",
  }
}

/** Has so many wait, for no longer than a timer runs; one that runs already is left alone. */
const wait = ({ sent, awaited, isTimed }: State, waiting: number, milliseconds: number): Step => ({
  state: { waiting, sent, awaited, isTimed: true },
  send: 0,
  timer: isTimed ? undefined : milliseconds,
})

const isLargeEnough = (waiting: number, calls: number) => waiting >= calls * LARGE_ENOUGH_SHARE

/** Whether a call that arrives now, and is one of so many `calls`, is sent at once and alone. */
export const isSentAtOnce = ({ waiting, awaited }: State, calls: number) =>
  waiting === 0 && awaited === undefined && isLargeEnough(1, calls)

/**
 * What becomes of a state with an event, and what is to be done. `calls` counts those of all kinds that
 * wait or are under way: an arrived one is among them, and so are those of a statement that has just
 * ended, because whoever is answered soon asks again.
 */
export const next = (state: State, event: Event, calls: number): Step => {
  switch (event._tag) {
    case "Arrived": {
      const waiting = state.waiting + 1
      if (state.awaited !== undefined) return wait(state, waiting, SLOW_STATEMENT_MS)
      return isLargeEnough(waiting, calls)
        ? send(waiting, state.sent, calls)
        : wait(state, waiting, HOLD_MS)
    }
    case "Ended": {
      const { waiting, sent, awaited } = state
      if (event.statement !== awaited) return { state, send: 0, timer: undefined }
      if (waiting === 0 || isLargeEnough(waiting, calls)) return send(waiting, sent, calls)
      const free = { waiting, sent, awaited: undefined, isTimed: false }
      return wait(free, waiting, HOLD_MS)
    }
    case "TimerFired":
      return send(state.waiting, state.sent, calls)
    case "Withdrawn":
      return { state: { ...state, waiting: state.waiting - 1 }, send: 0, timer: undefined }
  }
}
