/**
 * What the process uses, by the names that Prometheus has for it
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics).
 */
import { Effect, Layer, Metric, Option } from "effect"
import process from "node:process"
import { observeCounter, observeGauge } from "../background/observedMetric.ts"

const cpu = Metric.counter("process_cpu_seconds_total", {
  description: "User and system CPU time that the process has spent, in seconds",
  incremental: true,
})
const memory = Metric.gauge("process_resident_memory_bytes", {
  description: "Resident memory of the process, in bytes",
})
const started = Metric.gauge("process_start_time_seconds", {
  description: "When the process started, in Unix time",
})
const openFiles = Metric.gauge("process_open_fds", {
  description: "File descriptors that the process has open",
})
const maxFiles = Metric.gauge("process_max_fds", {
  description: "File descriptors that the process may have open",
})
const heapUsed = Metric.gauge("heap_used_bytes", {
  description: "Memory that live and dead objects take in the JavaScript heaps, in bytes",
})
const heapSize = Metric.gauge("heap_size_bytes", {
  description: "Memory of the JavaScript heaps, in bytes",
})
const lag = Metric.gauge("event_loop_lag_seconds", {
  description: "The longest that a timer was late within the last 15 seconds, in seconds",
})

/** Milliseconds between two looks at how late a timer is. */
const lagInterval = 1_000

const lagLooks = 15

/** Observes for how long the event loop is kept from timers, and so from everything else. */
const observeLag = Effect.gen(function* () {
  const delays: Array<number> = []
  let due = performance.now() + lagInterval
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      setInterval(() => {
        const now = performance.now()
        delays.push(Math.max(0, now - due))
        if (delays.length > lagLooks) delays.shift()
        due = now + lagInterval
      }, lagInterval)
    ),
    (timer) => Effect.sync(() => clearInterval(timer)),
  )
  yield* observeGauge(lag, () => Math.max(0, ...delays) / 1_000)
})

const countOpenFiles = () => Array.from(Deno.readDirSync("/proc/self/fd")).length

/** Where there is such a directory, and a sandbox lets it be read. */
const observeOpenFiles = Effect.try(countOpenFiles).pipe(
  Effect.matchEffect({
    onSuccess: () => observeGauge(openFiles, countOpenFiles),
    onFailure: () => Effect.void,
  }),
)

/** Those of one thread. */
export const layerOfThread = Layer.effectDiscard(Effect.gen(function* () {
  yield* observeLag
  yield* observeGauge(heapUsed, () => Deno.memoryUsage().heapUsed)
  yield* observeGauge(heapSize, () => Deno.memoryUsage().heapTotal)
}))

/** Those of the process, and of its first thread. */
export const layer = (limitOnOpenFiles: Option.Option<number>) =>
  Layer.effectDiscard(Effect.gen(function* () {
    yield* observeCounter(cpu, () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000_000
    })
    yield* observeGauge(memory, () => Deno.memoryUsage().rss)
    yield* observeGauge(started, () => performance.timeOrigin / 1_000)
    yield* observeOpenFiles
    yield* Effect.forEach(
      Option.toArray(limitOnOpenFiles),
      (limit) => observeGauge(maxFiles, () => limit),
    )
  })).pipe(Layer.merge(layerOfThread))
