/**
 * Calls that arrive while a statement is under way, as one statement together.
 *
 * A call that meets no other goes to PostgreSQL at once and alone, so that an idle service waits for
 * nothing. Of whatever arrives until its answer, up to half of all calls are the next batch: the
 * busier the service, the larger the batches and the smaller the cost of each call. Where many kinds
 * of calls share the load, each kind by itself would make many small batches; so while much else is
 * going on, a few calls wait a little for more of their kind.
 */
import { Context, Effect, Exit, Fiber, Option, Tracer } from "effect"
import type { SqlClient } from "effect/sql"
import { matchTransaction } from "./matchTransaction.ts"
import { spanned, tracerWithoutWords } from "./spanned.ts"

export interface BatcherOptions<Call, A, E> {
  readonly sql: SqlClient.SqlClient
  /** What a trace calls a batch; it belongs to many requests, so it has a trace of its own. */
  readonly name: string
  /**
   * Whether calls only read: a statement is then ended when all of its callers have gone, and where one
   * row is not what it should be, the calls of a batch are made one by one, so that it spoils its own.
   */
  readonly reads: boolean
  /** One call as a statement of its own. */
  readonly alone: (call: Call) => Effect.Effect<A, E>
  /** Many calls as one statement: an answer each, in their order, none for those left to `alone`. */
  readonly together: (
    calls: ReadonlyArray<Call>,
  ) => Effect.Effect<ReadonlyArray<Option.Option<Effect.Effect<A, E>>>, E>
}

/** Calls that were sent together. */
interface Batch {
  callers: number
  fiber?: Fiber.Fiber<unknown, unknown>
}

interface Waiting<Call, A, E> {
  readonly call: Call
  readonly resume: (effect: Effect.Effect<A, E>) => void
  /** None while it has not been sent. */
  batch?: Batch
}

/** Calls a batch at most: enough that more would cost each call no less. */
const maximumSize = 128

/** Calls that are never divided: PostgreSQL has more to do for two small statements than for one. */
const undivided = 8

/**
 * How many calls the next batch has at most, of all that there are. Half of them: if all were in one,
 * the service and PostgreSQL would wait for each other in turns, instead of each working on a half.
 */
const sizeLimit = (calls: number) =>
  Math.min(maximumSize, Math.max(undivided, Math.ceil(calls / 2)))

/** Milliseconds after which a statement under way, waiting for a lock perhaps, holds up no others. */
const patience = 50

/** A batch with this part of all calls is large enough not to wait for more. */
const part = 1 / 6

/** Milliseconds that a smaller batch waits. */
const hold = 5

/** How many calls all batchers of a thread have, waiting or under way. */
export const Load = Context.Reference("latchkey/database/Batcher/Load", {
  defaultValue: () => ({ calls: 0 }),
})

/**
 * Makes a function that answers calls alone or together.
 *
 * A caller's transaction is never left: in one, each call is a statement of its own. An interrupted
 * call that waits is never sent. A statement that was sent goes on for as long as one of its callers
 * waits for it, and one that writes in any case.
 */
export const make = Effect.fnUntraced(function* <Call, A, E>(
  { sql, name, reads, alone, together }: BatcherOptions<Call, A, E>,
) {
  const runFork = Effect.runForkWith(Context.add(
    yield* Effect.context(),
    Tracer.Tracer,
    tracerWithoutWords(yield* Effect.tracer),
  ))
  const load = yield* Load
  let waiting: Array<Waiting<Call, A, E>> = []
  let underWay: object | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const begin = () => underWay = {}

  const end = (statement: object, calls: number) => {
    if (underWay === statement) {
      stopTimer()
      underWay = undefined
      if (waiting.length > 0) sendOrHold()
    }
    // Counted until now: whoever is answered soon asks again, and belongs to the other half.
    load.calls -= calls
  }

  const stopTimer = () => {
    clearTimeout(timer)
    timer = undefined
  }

  const sendOrHold = () => {
    if (waiting.length >= load.calls * part) sendWaiting()
    else timer ??= setTimeout(sendWaiting, hold)
  }

  const limitWait = () => {
    timer ??= setTimeout(sendWaiting, patience)
  }

  const sendWaiting = () => {
    stopTimer()
    underWay = undefined
    const size = sizeLimit(load.calls)
    const batch = waiting.slice(0, size)
    waiting = waiting.slice(size)
    const [first] = batch
    if (first === undefined) return
    const statement = begin()
    if (waiting.length > 0) limitWait()
    // What has come meanwhile is sent before answers are given, so that PostgreSQL works beside that.
    const done = () => end(statement, batch.length)
    const sent: Batch = { callers: batch.length }
    for (const entry of batch) entry.batch = sent
    sent.fiber = batch.length === 1
      ? runFork(answerOne(first, done))
      : runFork(answerMany(batch, done))
  }

  const answerOne = ({ call, resume }: Waiting<Call, A, E>, done: () => void) =>
    Effect.onExit(alone(call), (exit) =>
      Effect.sync(() => {
        done()
        resume(exit)
      }))

  const sendTogether = spanned(
    `${name}.batch`,
    (calls: ReadonlyArray<Call>) =>
      reads ? Effect.catchDefect(together(calls), () => Effect.succeed([])) : together(calls),
    (calls) => ({ root: true, attributes: { calls: calls.length } }),
  )

  const answerMany = (batch: ReadonlyArray<Waiting<Call, A, E>>, done: () => void) =>
    Effect.onExit(sendTogether(batch.map(({ call }) => call)), (exit) =>
      Effect.sync(() => {
        done()
        batch.forEach(({ call, resume }, index) => {
          if (Exit.isFailure(exit)) return resume(Effect.failCause(exit.cause))
          const answer = exit.value[index]
          resume(answer !== undefined && Option.isSome(answer) ? answer.value : alone(call))
        })
      }))

  const withdraw = (entry: Waiting<Call, A, E>) => {
    waiting = waiting.filter((other) => other !== entry)
    load.calls--
  }

  const leave = (batch: Batch) => {
    batch.callers--
    return reads && batch.callers === 0 && batch.fiber !== undefined
      ? Fiber.interrupt(batch.fiber)
      : Effect.void
  }

  const wait = (call: Call) =>
    Effect.callback<A, E>((resume) => {
      const entry: Waiting<Call, A, E> = { call, resume }
      waiting.push(entry)
      load.calls++
      if (underWay === undefined) sendOrHold()
      else limitWait()
      return Effect.suspend(() => {
        if (entry.batch !== undefined) return leave(entry.batch)
        withdraw(entry)
        return Effect.void
      })
    })

  // Counted in and out whatever happens: a call left in the count would make others wait for good.
  const goFirst = (call: Call) =>
    Effect.uninterruptibleMask((restore) => {
      const statement = begin()
      load.calls++
      return Effect.ensuring(restore(alone(call)), Effect.sync(() => end(statement, 1)))
    })

  const mayGoFirst = () => underWay === undefined && (load.calls + 1) * part <= 1

  return (call: Call): Effect.Effect<A, E> =>
    matchTransaction(sql, {
      inside: () => alone(call),
      outside: () => mayGoFirst() ? goFirst(call) : wait(call),
    })
})
