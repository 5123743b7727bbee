/**
 * The metrics of all threads, whichever of them is asked.
 */
import { Effect, Layer, Schema } from "effect"
import { addMetrics, Metrics } from "../server/Metrics.ts"

const channelName = "latchkey/metrics"

/** Milliseconds; a thread that is starting or stuck is left out. */
const patience = 1_000

const Question = Schema.Struct({ question: Schema.String })
const Answer = Schema.Struct({ answerTo: Schema.String, metrics: Schema.String })

const isQuestion = Schema.is(Question)
const isAnswer = Schema.is(Answer)

export const metricsOfThreads = (count: number) =>
  Layer.effect(
    Metrics,
    Effect.gen(function* () {
      const own = yield* Metrics
      const runFork = Effect.runForkWith(yield* Effect.context())
      const channel = yield* Effect.acquireRelease(
        Effect.sync(() => new BroadcastChannel(channelName)),
        (channel) => Effect.sync(() => channel.close()),
      )
      channel.addEventListener("message", ({ data }) => {
        if (!isQuestion(data)) return
        runFork(
          Effect.map(
            own.format,
            (metrics) => channel.postMessage({ answerTo: data.question, metrics }),
          ),
        )
      })

      const ofOthers = Effect.callback<ReadonlyArray<string>>((resume) => {
        const question = crypto.randomUUID()
        const answers: Array<string> = []
        const done = () => {
          clearTimeout(timer)
          channel.removeEventListener("message", listen)
          resume(Effect.succeed(answers))
        }
        const listen = ({ data }: MessageEvent) => {
          if (!isAnswer(data) || data.answerTo !== question) return
          if (answers.push(data.metrics) === count - 1) done()
        }
        const timer = setTimeout(done, patience)
        channel.addEventListener("message", listen)
        channel.postMessage({ question })
        return Effect.sync(done)
      })

      return Metrics.of({
        format: Effect.map(
          Effect.all([own.format, ofOthers], { concurrency: "unbounded" }),
          ([own, others]) => addMetrics([own, ...others]),
        ),
      })
    }),
  ).pipe(Layer.provide(Metrics.layer))
