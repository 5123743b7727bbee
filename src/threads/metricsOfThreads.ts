/**
 * The metrics of all threads, whichever of them is asked.
 */
import { Effect, Exit, Layer, Schema } from "effect"
import { makeChangeLog } from "../background/ChangeLog.ts"
import * as TaskHealth from "../background/TaskHealth.ts"
import { addMetrics, Metrics } from "../operations/Metrics.ts"

const channelName = "latchkey/metrics"

/** Milliseconds that a thread has to report. */
const patience = 1_000

const Question = Schema.Struct({ question: Schema.String })
const Answer = Schema.Struct({
  answerTo: Schema.String,
  thread: Schema.Int,
  metrics: Schema.String,
})

const isQuestion = Schema.is(Question)
const isAnswer = Schema.is(Answer)

const gauge = (name: string, help: string, value: number) =>
  `# HELP latchkey_${name} ${help}\n# TYPE latchkey_${name} gauge\nlatchkey_${name} ${value}\n`

/**
 * For the thread of this index, 0 being the first. A thread that does not report in time counts with
 * what it last reported to anybody: without that, sums would fall, which looks like a restart.
 */
export const metricsOfThreads = (index: number, count: number) =>
  Layer.effect(
    Metrics,
    Effect.gen(function* () {
      const own = yield* Metrics
      const runFork = Effect.runForkWith(yield* Effect.context())
      const health = yield* TaskHealth.make(
        "thread-metrics",
        makeChangeLog({
          failing: "The metrics of some threads are not up to date",
          recovered: "The metrics of all threads are up to date again",
        }),
      )
      const lastReports = new Map<number, string>()
      const channel = yield* Effect.acquireRelease(
        Effect.sync(() => new BroadcastChannel(channelName)),
        (channel) => Effect.sync(() => channel.close()),
      )
      channel.addEventListener("message", ({ data }) => {
        // Each hears of every report, so that any of them knows the last one.
        if (isAnswer(data)) lastReports.set(data.thread, data.metrics)
        if (!isQuestion(data)) return
        runFork(
          own.format.pipe(
            Effect.map((metrics) =>
              channel.postMessage({ answerTo: data.question, thread: index, metrics })
            ),
            Effect.catchCause((cause) =>
              Effect.logError("This thread could not report its metrics", cause)
            ),
          ),
        )
      })

      /** Asks the others, and gives the indices of those that have reported in time. */
      const ask = Effect.suspend(() => {
        const question = crypto.randomUUID()
        const reported = new Set<number>()
        const allHave = Effect.callback<void>((resume) => {
          const stop = () => channel.removeEventListener("message", listen)
          const listen = ({ data }: MessageEvent) => {
            if (!isAnswer(data) || data.answerTo !== question) return
            if (reported.add(data.thread).size < count - 1) return
            stop()
            resume(Effect.void)
          }
          channel.addEventListener("message", listen)
          channel.postMessage({ question })
          return Effect.sync(stop)
        })
        return Effect.as(Effect.timeoutOption(allHave, patience), reported)
      })

      return Metrics.of({
        format: Effect.gen(function* () {
          const reported = yield* ask
          // Those that have never reported are still starting, which is logged elsewhere.
          const silent = Array.from(lastReports.keys()).filter((thread) => !reported.has(thread))
          yield* health.record(
            silent.length === 0 ? Exit.void : Exit.fail({
              message: `no report within ${patience} ms from ` +
                silent.sort().map((thread) => `thread ${thread + 1}`).join(", "),
            }),
          )
          return addMetrics([yield* own.format, ...lastReports.values()]) +
            gauge("threads", "Threads that answer requests", count) +
            gauge("threads_reporting", "Threads whose metrics are up to date", reported.size + 1)
        }),
      })
    }),
  ).pipe(Layer.provide(Metrics.layer))
