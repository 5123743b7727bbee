/**
 * The requests that are worked on, each in a fiber of its own: how many, and for how long.
 *
 * Of their own for two reasons. A client that hangs up ends its request, but not a write that is under
 * way. And the deadline is kept even where work that is given up takes its time to end, as on a
 * connection that is dead: it counts as in flight until then.
 */
import { Context, Duration, Effect, Exit, type Fiber, Layer, Metric } from "effect"
import { DatabaseUnavailable, Overloaded } from "../api/problems.ts"

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

/** A request's work; `name` is what its metrics are called by. */
export interface Work<A, E> {
  readonly name: string
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

const durations = Metric.histogram("http_request_duration_seconds", {
  description: "Time from admission to answer",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
})

const timedOut = Exit.fail(
  new DatabaseUnavailable({ detail: "The database did not answer in time" }),
)

const overloaded = Exit.fail(new Overloaded({}))

/** Looked at when somebody asks, not kept up to date with each request. */
const registerGauge = (context: Context.Context<never>, value: () => number) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Metric.registerUnsafe(inFlightGauge, context, {
        get: () => ({ value: value() }),
        update: () => {},
        modify: () => {},
      })
    ),
    (registration) => Effect.sync(() => registration.remove()),
  )

/** Makes a function that records how long a request of an endpoint took since it has started. */
const makeObserve = (context: Context.Context<never>) => {
  const durationOf = new Map<string, Metric.Histogram<number>>()
  return (name: string, started: number) => {
    let duration = durationOf.get(name)
    if (duration === undefined) {
      duration = Metric.withAttributes(durations, { endpoint: name })
      durationOf.set(name, duration)
    }
    duration.updateUnsafe((performance.now() - started) / 1000, context)
  }
}

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
        const observe = makeObserve(context)
        const waiting = new Set<() => void>()
        // Places in turns: what is replaced as it changes keeps what was in it once it has grown old.
        const pending: Array<Pending | undefined> = []
        const free: Array<number> = []
        let count = 0

        yield* registerGauge(context, () => count)

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
          start: ({ name, isLong, effect, caller, answer }) => {
            if (isFull()) {
              answer(overloaded)
              return undefined
            }
            const started = performance.now()
            count++
            const fiber = runFork(effect)
            const place = free.pop() ?? pending.length
            const work: Pending = {
              overdueAt: isLong ? Infinity : started + milliseconds,
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
              observe(name, started)
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
