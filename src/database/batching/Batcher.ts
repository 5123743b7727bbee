/**
 * Calls that arrive while a statement is under way, as one statement together; `schedule` says when.
 */
import { Context, Effect, Exit, Fiber, Metric, Option, References, Tracer } from "effect"
import type { SqlClient } from "effect/sql"
import { traced, tracerOfCalls } from "../traced.ts"
import { whenInTransaction } from "../transactions.ts"
import { type Event, idle, isSentAtOnce, next } from "./schedule.ts"

/** What a batch did for a call: its row, or nothing; the call is then sent by itself. */
export type Outcome<Row> =
  | { readonly _tag: "Done"; readonly row: Row }
  | { readonly _tag: "Undone" }

export const done = <Row>(row: Row): Outcome<Row> => ({ _tag: "Done", row })

export const undone: Outcome<never> = { _tag: "Undone" }

export interface BatcherOptions<Call, Row, A, E> {
  readonly sql: SqlClient.SqlClient
  /**
   * What a trace calls a batch; it belongs to many requests, so it has a trace of its own, with links to
   * the spans of its calls, which have links to it.
   */
  readonly name: string
  /**
   * Whether calls only read: a statement is then ended when all of its callers have gone, and where one
   * row is not what it should be, the calls of a batch are made one by one, so that only its own caller
   * gets the error.
   */
  readonly reads: boolean
  /** One call as a statement of its own. */
  readonly single: (call: Call) => Effect.Effect<A, E>
  /** Many calls as one statement: one outcome per call, in their order; a missing one is undone. */
  readonly batch: (calls: ReadonlyArray<Call>) => Effect.Effect<ReadonlyArray<Outcome<Row>>, E>
  /** Decodes the row of a batch to the caller's answer; runs in the caller's fiber. */
  readonly decode: (row: Row) => Effect.Effect<A, E>
}

/** Calls that were sent together. */
interface Sent {
  callers: number
  fiber?: Fiber.Fiber<unknown, unknown>
}

interface Waiting<Call, A, E> {
  readonly call: Call
  readonly resume: (effect: Effect.Effect<A, E>) => void
  /** What the call is a part of, where anybody listens to spans. */
  readonly span: Tracer.AnySpan | undefined
  /** None while it has not been sent. */
  sent?: Sent
}

/** How many calls all batchers of a thread have, waiting or under way. */
export const Load = Context.Reference("latchkey/database/batching/Load", {
  defaultValue: () => ({ calls: 0 }),
})

const sizes = Metric.histogram("database_batch_size", {
  description: "Calls that were one statement together, or one alone",
  boundaries: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
})

const arrived: Event = { _tag: "Arrived" }
const timerFired: Event = { _tag: "TimerFired" }
const withdrawn: Event = { _tag: "Withdrawn" }

const toLinks = (spans: ReadonlyArray<Tracer.AnySpan>) =>
  spans.map((span): Tracer.SpanLink => ({ span, attributes: {} }))

/** Has each of the spans lead to the one of the batch that serves all of them. */
const linkToBatch = (spans: ReadonlyArray<Tracer.AnySpan>) =>
  Effect.flatMap(Effect.option(Effect.currentSpan), (batch) =>
    Effect.sync(() => {
      for (const span of spans) {
        if (span._tag === "Span") span.addLinks(toLinks(Option.toArray(batch)))
      }
    }))

/** The calls of one batcher that wait, and the statements that were sent for them. */
class Queue<Call, Row, A, E> {
  private state = idle
  private entries: Array<Waiting<Call, A, E>> = []
  private timer: ReturnType<typeof setTimeout> | undefined

  private readonly sizes: Metric.Histogram<number>

  private readonly sendBatch: (
    calls: ReadonlyArray<Call>,
    spans: ReadonlyArray<Tracer.AnySpan>,
  ) => Effect.Effect<ReadonlyArray<Outcome<Row>>, E>

  constructor(
    private readonly options: BatcherOptions<Call, Row, A, E>,
    private readonly runFork: <B, F>(effect: Effect.Effect<B, F>) => Fiber.Fiber<B, F>,
    private readonly load: { calls: number },
    private readonly context: Context.Context<never>,
  ) {
    const { name, reads, batch } = options
    this.sizes = Metric.withAttributes(sizes, { operation: name })
    // Looked at, it is there before its first batch.
    this.sizes.valueUnsafe(context)
    this.sendBatch = traced(
      `${name}.batch`,
      (calls, spans) => {
        // A row that is not what it should be is a defect of the whole statement.
        const sent = reads
          ? Effect.catchDefect(batch(calls), () => Effect.succeed([]))
          : batch(calls)
        return spans.length === 0 ? sent : Effect.andThen(linkToBatch(spans), sent)
      },
      (calls, spans) => ({
        root: true,
        links: toLinks(spans),
        attributes: { "db.operation.batch.size": calls.length },
      }),
    )
  }

  /** Whether a call that arrives now need not wait. */
  isFree() {
    return isSentAtOnce(this.state, this.load.calls + 1)
  }

  /** In the caller's own fiber, as if there were no batches. */
  goFirst(call: Call) {
    // Counted in and out whatever happens: a call left in the count would make others wait for good.
    return Effect.uninterruptibleMask((restore) => {
      this.load.calls++
      this.sizes.updateUnsafe(1, this.context)
      this.happen(arrived)
      const statement = this.state.sent
      return Effect.ensuring(
        restore(this.options.single(call)),
        Effect.sync(() => this.end(statement, 1)),
      )
    })
  }

  wait(call: Call, span?: Tracer.AnySpan) {
    return Effect.callback<A, E>((resume) => {
      const entry: Waiting<Call, A, E> = { call, resume, span }
      this.entries.push(entry)
      this.load.calls++
      this.sendFirst(this.happen(arrived))
      return Effect.suspend(() =>
        entry.sent === undefined ? this.withdraw(entry) : this.leave(entry.sent)
      )
    })
  }

  /** Tells the schedule what has happened, and gives how many calls are to be sent. */
  private happen(event: Event) {
    const step = next(this.state, event, this.load.calls)
    this.state = step.state
    if (step.timer !== undefined) {
      clearTimeout(this.timer)
      this.timer = step.timer === "stop" ? undefined : setTimeout(this.onTimer, step.timer)
    }
    return step.send
  }

  private readonly onTimer = () => this.sendFirst(this.happen(timerFired))

  private sendFirst(size: number) {
    if (size === 0) return
    const entries = this.entries.slice(0, size)
    const [first] = entries
    if (first === undefined) return
    this.entries = this.entries.slice(size)
    const statement = this.state.sent
    const sent: Sent = { callers: size }
    for (const entry of entries) entry.sent = sent
    // What has come meanwhile is sent before answers are given, so that PostgreSQL works beside that.
    const onEnd = () => this.end(statement, size)
    this.sizes.updateUnsafe(size, this.context)
    sent.fiber = size === 1
      ? this.runFork(this.answerOne(first, onEnd))
      : this.runFork(this.answerEach(entries, onEnd))
  }

  private end(statement: number, calls: number) {
    this.sendFirst(this.happen({ _tag: "Ended", statement }))
    this.load.calls -= calls
  }

  private answerOne({ call, resume, span }: Waiting<Call, A, E>, onEnd: () => void) {
    const sent = this.options.single(call)
    return Effect.onExit(
      span === undefined ? sent : Effect.withParentSpan(sent, span),
      (exit) =>
        Effect.sync(() => {
          onEnd()
          resume(exit)
        }),
    )
  }

  private answerEach(entries: ReadonlyArray<Waiting<Call, A, E>>, onEnd: () => void) {
    const { decode, single } = this.options
    return Effect.onExit(
      this.sendBatch(
        entries.map(({ call }) => call),
        entries.flatMap(({ span }) => span ?? []),
      ),
      (exit) =>
        Effect.sync(() => {
          onEnd()
          entries.forEach(({ call, resume }, index) => {
            if (Exit.isFailure(exit)) return resume(Effect.failCause(exit.cause))
            const outcome = exit.value[index] ?? undone
            resume(outcome._tag === "Done" ? decode(outcome.row) : single(call))
          })
        }),
    )
  }

  private withdraw(entry: Waiting<Call, A, E>) {
    this.entries = this.entries.filter((other) => other !== entry)
    this.load.calls--
    this.happen(withdrawn)
    return Effect.void
  }

  private leave(sent: Sent) {
    sent.callers--
    return this.options.reads && sent.callers === 0 && sent.fiber !== undefined
      ? Fiber.interrupt(sent.fiber)
      : Effect.void
  }
}

/**
 * Makes a function that answers calls by statements of their own or together.
 *
 * A caller's transaction is never left: in one, each call is a statement of its own. An interrupted
 * call that waits is never sent. A statement that was sent goes on for as long as one of its callers
 * waits for it, and one that writes in any case.
 */
export const make = Effect.fnUntraced(function* <Call, Row, A, E>(
  options: BatcherOptions<Call, Row, A, E>,
) {
  const context = yield* Effect.context()
  const runFork = Effect.runForkWith(Context.add(
    context,
    Tracer.Tracer,
    tracerOfCalls(yield* Effect.tracer),
  ))
  const queue = new Queue(options, runFork, yield* Load, context)
  const isTraced = yield* References.TracerEnabled
  const wait = (call: Call) =>
    isTraced
      ? Effect.withFiber<A, E>(({ context }) =>
        queue.wait(call, Context.getOrUndefined(context, Tracer.ParentSpan))
      )
      : queue.wait(call)
  return (call: Call): Effect.Effect<A, E> =>
    whenInTransaction(options.sql, {
      inside: () => options.single(call),
      outside: () => queue.isFree() ? queue.goFirst(call) : wait(call),
    })
})
