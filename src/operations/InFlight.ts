/**
 * The requests that are worked on, each in a fiber of its own: how many, and for how long.
 *
 * Of their own for two reasons. A client that hangs up ends its request, but not a write that is under
 * way. And the deadline is kept even where work that is given up takes its time to end, as on a
 * connection that is dead: it counts as in flight until then.
 */
import { Context, Duration, Effect, Exit, type Fiber, Layer, Metric } from "effect"
import { DatabaseUnavailable, Overloaded } from "../api/problems.ts"
import { observeGauge } from "../background/observedMetric.ts"
import { refusedWith } from "./refusals.ts"

export interface InFlightOptions {
  /** Requests that are worked on at once; more are turned away. */
  readonly maxInFlight: number
  /**
   * The time for an answer. Longer than any statement may take, so that a write that is given up at
   * its end has been given up by the database before.
   */
  readonly deadline: Duration.Duration
  /** What is left for work under way to finish when the service stops. */
  readonly timeToStop: Effect.Effect<Duration.Duration>
}

/** A request's work. */
export interface Work<A, E> {
  /** Whether no deadline fits it. */
  readonly isLong: boolean
  readonly effect: Effect.Effect<A, E>
  /** Whom alone the work is for: it ends when they are gone. A write is not for its caller alone. */
  readonly caller?: object | undefined
  /** Called once: with how the work ended, that its time is over, or that there was no room for it. */
  readonly answer: (exit: Exit.Exit<A, E | DatabaseUnavailable | Overloaded>) => void
}

interface Pending {
  readonly overdueAt: number
  readonly caller: object | undefined
  readonly fiber: { readonly interruptUnsafe: () => void }
  /** None when it was given up. */
  giveUp: (() => void) | undefined
}

const inFlightGauge = Metric.gauge("http_requests_in_flight", {
  description: "Requests that are being worked on",
})

const limitGauge = Metric.gauge("http_requests_in_flight_limit", {
  description: "Requests that are worked on at once; more are refused",
})

const timedOut = Exit.fail(
  new DatabaseUnavailable({ detail: "The database did not answer in time" }),
)

const overloaded = Exit.fail(new Overloaded({}))

export class InFlight extends Context.Service<InFlight, {
  /** Whether a request has to be turned away. */
  readonly isFull: () => boolean
  /** Starts what there is room for; none where there is none. */
  readonly start: <A, E>(work: Work<A, E>) => Fiber.Fiber<A, E> | undefined
  /** Ends the work that was for a caller alone who is gone. Nobody is answered. */
  readonly abandon: (caller: object) => void
}>()("latchkey/operations/InFlight") {
  static readonly layer = ({ maxInFlight, deadline, timeToStop }: InFlightOptions) =>
    Layer.effect(
      InFlight,
      Effect.gen(function* () {
        const context = yield* Effect.context()
        const runFork = Effect.runForkWith(context)
        const milliseconds = Duration.toMillis(deadline)
        const waiting = new Set<() => void>()
        // Places in turns: what is replaced as it changes keeps what was in it once it has grown old.
        const pending: Array<Pending | undefined> = []
        const free: Array<number> = []
        let count = 0

        yield* observeGauge(inFlightGauge, () => count)
        yield* observeGauge(limitGauge, () => maxInFlight)
        const countOverloaded = () => refusedWith(503).updateUnsafe(1, context)

        // One timer for all: one each would cost more than the rest of the book-keeping.
        const timer = setInterval(() => {
          const now = performance.now()
          pending.forEach((work) => {
            if (work !== undefined && work.overdueAt <= now) work.giveUp?.()
          })
        }, Math.min(100, milliseconds / 10))

        const untilNothingIsLeft = Effect.callback<void>((resume) => {
          const done = () => resume(Effect.void)
          if (count === 0) return done()
          waiting.add(done)
          return Effect.sync(() => waiting.delete(done))
        })
        yield* Effect.addFinalizer(() =>
          Effect.flatMap(timeToStop, (time) => Effect.timeoutOption(untilNothingIsLeft, time)).pipe(
            Effect.andThen(Effect.sync(() => clearInterval(timer))),
          )
        )

        const isFull = () => count >= maxInFlight
        return InFlight.of({
          isFull,
          start: ({ isLong, effect, caller, answer }) => {
            if (isFull()) {
              countOverloaded()
              answer(overloaded)
              return undefined
            }
            count++
            const fiber = runFork(effect)
            const place = free.pop() ?? pending.length
            const work: Pending = {
              overdueAt: isLong ? Infinity : performance.now() + milliseconds,
              caller,
              fiber,
              giveUp: () => {
                work.giveUp = undefined
                answer(timedOut)
                fiber.interruptUnsafe()
              },
            }
            pending[place] = work
            fiber.addObserver((exit) => {
              count--
              pending[place] = undefined
              free.push(place)
              // Otherwise it was given up, and answered then.
              if (work.giveUp !== undefined) answer(exit)
              if (count === 0) waiting.forEach((done) => done())
            })
            return fiber
          },
          abandon: (caller) => {
            pending.forEach((work) => {
              if (work?.caller !== caller) return
              work.giveUp = undefined
              work.fiber.interruptUnsafe()
            })
          },
        })
      }),
    )
}
