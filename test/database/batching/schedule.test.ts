import { assert, describe, it } from "@effect/vitest"
import {
  type Event,
  HOLD_MS,
  idle,
  isSentAtOnce,
  MAX_BATCH_SIZE,
  next,
  SLOW_STATEMENT_MS,
  type State,
  type Step,
} from "../../../src/database/batching/schedule.ts"

const arrived: Event = { _tag: "Arrived" }
const timerFired: Event = { _tag: "TimerFired" }
const withdrawn: Event = { _tag: "Withdrawn" }
const ended = (statement: number): Event => ({ _tag: "Ended", statement })

/** Statement 3 is under way, and nobody waits for its end. */
const busy: State = { waiting: 0, sent: 3, awaited: 3, isTimed: false }

const cases: ReadonlyArray<
  readonly [name: string, from: State, event: Event, calls: number, step: Step]
> = [
  ["Arrived: sends a call that meets no other", idle, arrived, 1, {
    state: { waiting: 0, sent: 1, awaited: 1, isTimed: false },
    send: 1,
    timer: "stop",
  }],
  ["Arrived: sends a call that is a sixth of all calls", idle, arrived, 6, {
    state: { waiting: 0, sent: 1, awaited: 1, isTimed: false },
    send: 1,
    timer: "stop",
  }],
  ["Arrived: holds a call that is less than a sixth of all calls", idle, arrived, 7, {
    state: { waiting: 1, sent: 0, awaited: undefined, isTimed: true },
    send: 0,
    timer: HOLD_MS,
  }],
  [
    "Arrived: sends calls that were held once they are a sixth",
    { waiting: 2, sent: 0, awaited: undefined, isTimed: true },
    arrived,
    18,
    { state: { waiting: 0, sent: 1, awaited: 1, isTimed: false }, send: 3, timer: "stop" },
  ],
  [
    "Arrived: leaves the timer of calls that are held alone",
    { waiting: 1, sent: 0, awaited: undefined, isTimed: true },
    arrived,
    18,
    {
      state: { waiting: 2, sent: 0, awaited: undefined, isTimed: true },
      send: 0,
      timer: undefined,
    },
  ],
  ["Arrived: waits for the statement under way, for a time", busy, arrived, 2, {
    state: { ...busy, waiting: 1, isTimed: true },
    send: 0,
    timer: SLOW_STATEMENT_MS,
  }],
  [
    "Arrived: leaves the time of those that wait already alone",
    { ...busy, waiting: 1, isTimed: true },
    arrived,
    3,
    { state: { ...busy, waiting: 2, isTimed: true }, send: 0, timer: undefined },
  ],
  ["Ended: is idle when nobody waits", busy, ended(3), 1, {
    state: { ...busy, awaited: undefined },
    send: 0,
    timer: "stop",
  }],
  [
    "Ended: sends those that wait together",
    { ...busy, waiting: 5, isTimed: true },
    ended(3),
    6,
    { state: { waiting: 0, sent: 4, awaited: 4, isTimed: false }, send: 5, timer: "stop" },
  ],
  [
    "Ended: holds a few of many calls",
    { ...busy, waiting: 1, isTimed: true },
    ended(3),
    12,
    {
      state: { waiting: 1, sent: 3, awaited: undefined, isTimed: true },
      send: 0,
      timer: HOLD_MS,
    },
  ],
  [
    "Ended: sends half of all calls, and has the rest wait",
    { ...busy, waiting: 40, isTimed: true },
    ended(3),
    42,
    {
      state: { waiting: 19, sent: 4, awaited: 4, isTimed: true },
      send: 21,
      timer: SLOW_STATEMENT_MS,
    },
  ],
  [
    "Ended: does not divide eight calls",
    { ...busy, waiting: 8, isTimed: true },
    ended(3),
    9,
    { state: { waiting: 0, sent: 4, awaited: 4, isTimed: false }, send: 8, timer: "stop" },
  ],
  [
    "Ended: sends no more than a batch holds",
    { ...busy, waiting: 1_000, isTimed: true },
    ended(3),
    1_001,
    {
      state: { waiting: 1_000 - MAX_BATCH_SIZE, sent: 4, awaited: 4, isTimed: true },
      send: MAX_BATCH_SIZE,
      timer: SLOW_STATEMENT_MS,
    },
  ],
  [
    "Ended: changes nothing for a statement that holds up nobody",
    { ...busy, waiting: 2, isTimed: true },
    ended(2),
    4,
    { state: { ...busy, waiting: 2, isTimed: true }, send: 0, timer: undefined },
  ],
  [
    "TimerFired: sends those that a slow statement holds up",
    { ...busy, waiting: 2, isTimed: true },
    timerFired,
    3,
    { state: { waiting: 0, sent: 4, awaited: 4, isTimed: false }, send: 2, timer: "stop" },
  ],
  [
    "TimerFired: sends those that are held, however few",
    { waiting: 1, sent: 0, awaited: undefined, isTimed: true },
    timerFired,
    1_000,
    { state: { waiting: 0, sent: 1, awaited: 1, isTimed: false }, send: 1, timer: "stop" },
  ],
  [
    "TimerFired: has a slow statement hold up nobody, though none waits any more",
    { ...busy, isTimed: true },
    timerFired,
    1,
    { state: { ...busy, awaited: undefined, isTimed: false }, send: 0, timer: "stop" },
  ],
  [
    "Withdrawn: sends a call that has gone with no batch",
    { ...busy, waiting: 2, isTimed: true },
    withdrawn,
    2,
    { state: { ...busy, waiting: 1, isTimed: true }, send: 0, timer: undefined },
  ],
]

describe("schedule", () => {
  it.each(cases)(
    "%s",
    (_name, from, event, calls, step) => assert.deepStrictEqual(next(from, event, calls), step),
  )

  it("isSentAtOnce: says of each state what next does with a call that arrives", () => {
    for (const waiting of [0, 1, 2]) {
      for (const awaited of [undefined, 3]) {
        for (const calls of [1, 6, 7, 18]) {
          const state = { waiting, sent: 3, awaited, isTimed: waiting > 0 }
          assert.strictEqual(
            isSentAtOnce(state, calls),
            waiting === 0 && next(state, arrived, calls).send === 1,
          )
        }
      }
    }
  })

  it("sends each call once, whatever happens in which order", () => {
    // A linear congruential generator: the same sequence each time.
    let seed = 1
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    let state: State = idle
    let isTimed = false
    const underWay = new Map<number, number>()
    let [arrivals, sent, withdrawals, done] = [0, 0, 0, 0]
    const happen = (event: Event) => {
      const calls = arrivals - withdrawals - done
      const step = next(state, event, calls)
      state = step.state
      if (step.timer !== undefined) isTimed = step.timer !== "stop"
      assert.strictEqual(state.isTimed, isTimed)
      if (step.send > 0) underWay.set(state.sent, step.send)
      sent += step.send
      assert.strictEqual(state.waiting, arrivals - withdrawals - sent)
      assert.isTrue(
        state.waiting === 0 || isTimed,
        "those that wait are sent at some time, whatever becomes of statements",
      )
    }
    for (let index = 0; index < 20_000; index++) {
      const kind = random(10)
      const [statement] = underWay.keys()
      if (kind < 5) {
        arrivals++
        happen(arrived)
      } else if (kind < 8 && statement !== undefined) {
        happen(ended(statement))
        done += underWay.get(statement) ?? 0
        underWay.delete(statement)
      } else if (kind === 8 && isTimed) {
        isTimed = false
        happen(timerFired)
      } else if (kind === 9 && state.waiting > 0) {
        withdrawals++
        happen(withdrawn)
      }
    }
    assert.isAbove(sent, 1_000)
  })
})
