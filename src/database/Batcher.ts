/**
 * Calls that arrive while a statement is under way, as one statement together.
 *
 * A call that meets no other goes to PostgreSQL at once and alone, so that an idle service waits for
 * nothing. Whatever arrives until its answer is the next batch: the busier the service, the larger
 * the batches and the smaller the cost of each call.
 */
import { Effect, Option } from "effect"
import type { SqlClient } from "effect/sql"

export interface BatcherOptions<Call, A, E> {
  readonly sql: SqlClient.SqlClient
  /** What a trace calls a batch; it belongs to many requests, so it has a trace of its own. */
  readonly name: string
  /** One call as a statement of its own. */
  readonly alone: (call: Call) => Effect.Effect<A, E>
  /** Many calls as one statement: an outcome each, in their order, none for those left to `alone`. */
  readonly together: (
    calls: ReadonlyArray<Call>,
  ) => Effect.Effect<ReadonlyArray<Option.Option<A>>, E>
}

interface Waiting<Call, A, E> {
  readonly call: Call
  readonly resume: (effect: Effect.Effect<A, E>) => void
}

/** Calls a batch at most: enough that more would cost each call no less. */
const maximumSize = 128

/** Milliseconds after which a statement under way, waiting for a lock perhaps, holds up no others. */
const patience = 50

/**
 * Makes a function that answers calls alone or together.
 *
 * A caller's transaction is never left: in one, each call is a statement of its own. An interrupted
 * call that waits is never sent; one whose statement others share, or that has waited, is carried out.
 */
export const make = Effect.fnUntraced(function* <Call, A, E>(
  { sql, name, alone, together }: BatcherOptions<Call, A, E>,
) {
  const runFork = Effect.runForkWith(yield* Effect.context())
  let waiting: Array<Waiting<Call, A, E>> = []
  let underWay: object | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const begin = () => underWay = {}

  const end = (statement: object) => {
    if (underWay === statement) sendWaiting()
  }

  const sendWaiting = () => {
    clearTimeout(timer)
    timer = undefined
    underWay = undefined
    if (waiting.length === 0) return
    const batch = waiting.slice(0, maximumSize)
    waiting = waiting.slice(maximumSize)
    const [first] = batch
    const statement = begin()
    if (waiting.length > 0) limitWait()
    // What has come meanwhile is sent before answers are given, so that PostgreSQL works beside that.
    const done = () => end(statement)
    if (first !== undefined && batch.length === 1) runFork(answerOne(first, done))
    else runFork(answerMany(batch, done))
  }

  const limitWait = () => {
    timer ??= setTimeout(sendWaiting, patience)
  }

  const answerOne = ({ call, resume }: Waiting<Call, A, E>, done: () => void) =>
    Effect.onExit(alone(call), (exit) =>
      Effect.sync(() => {
        done()
        resume(exit)
      }))

  const answerMany = (batch: ReadonlyArray<Waiting<Call, A, E>>, done: () => void) =>
    together(batch.map(({ call }) => call)).pipe(
      Effect.withSpan(`${name}.batch`, { root: true, attributes: { calls: batch.length } }),
      Effect.matchCause({
        onFailure: (cause) => {
          done()
          const failure = Effect.failCause(cause)
          batch.forEach(({ resume }) => resume(failure))
        },
        onSuccess: (outcomes) => {
          done()
          batch.forEach(({ call, resume }, index) => {
            const outcome = outcomes[index]
            resume(
              outcome !== undefined && Option.isSome(outcome)
                ? Effect.succeed(outcome.value)
                : alone(call),
            )
          })
        },
      }),
    )

  const wait = (call: Call) =>
    Effect.callback<A, E>((resume) => {
      const entry = { call, resume }
      waiting.push(entry)
      limitWait()
      return Effect.sync(() => {
        waiting = waiting.filter((other) => other !== entry)
      })
    })

  // Should the fiber be interrupted between the two, the next calls wait until patience ends, once.
  const goFirst = (call: Call) =>
    Effect.suspend(() => {
      const statement = begin()
      return Effect.ensuring(alone(call), Effect.sync(() => end(statement)))
    })

  return (call: Call): Effect.Effect<A, E> =>
    Effect.flatMap(
      Effect.serviceOption(sql.transactionService),
      (transaction) =>
        Option.isSome(transaction)
          ? alone(call)
          : underWay === undefined
          ? goFirst(call)
          : wait(call),
    )
})
