import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryDataDir } from "../support/EmbeddedServer.ts"
import * as Promtool from "../support/Promtool.ts"
import * as ServiceProcess from "./support/ServiceProcess.ts"

/** What a whole service tells, at its start and after requests; its log stays out of the way. */
const metricsOfService = Effect.fnUntraced(function* (threads: string) {
  const service = yield* ServiceProcess.start({
    DATA_DIR: yield* temporaryDataDir,
    RETENTION_INTERVAL: "1h",
    ACCESS_LOG: "off",
    THREADS: threads,
  })
  const url = `http://127.0.0.1:${service.port}`
  const read = (path: string) =>
    Effect.promise(async () => {
      const answer = await fetch(`${url}${path}`)
      return answer.text()
    })
  for (const path of ["/readyz", "/v1/users", "/nothing"]) yield* read(path)
  return yield* read("/metrics")
})

/** Promises of the documentation, beside what the other tests hold. */
const families = [
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "process_start_time_seconds",
  "process_open_fds",
  "process_max_fds",
  "latchkey_build_info",
  "latchkey_ready",
  "latchkey_migration_version",
  "latchkey_api_keys",
  "latchkey_heap_used_bytes",
  "latchkey_event_loop_lag_seconds",
  "latchkey_http_requests_total",
  "latchkey_http_requests_refused_total",
  "latchkey_http_request_duration_seconds",
  "latchkey_http_requests_in_flight",
  "latchkey_http_requests_in_flight_limit",
  "latchkey_http_connections",
  "latchkey_http_connections_limit",
  "latchkey_http_connections_refused_total",
  "latchkey_background_task_runs_total",
]

const valueOf = (text: string, series: string) =>
  Number(text.split("\n").find((line) => line.startsWith(`${series} `))?.slice(series.length + 1))

describe("the metrics of a whole service", () => {
  it.live.each(["1", "2"])(
    "have what operators need of them, threads: %s",
    (threads) =>
      Effect.gen(function* () {
        const text = yield* metricsOfService(threads)
        const told = new Set(
          [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name),
        )
        assert.deepStrictEqual(families.filter((name) => !told.has(name)), [])
        assert.strictEqual(valueOf(text, "latchkey_ready"), 1)
        assert.strictEqual(valueOf(text, "latchkey_api_keys"), 1)
        assert.isAtLeast(valueOf(text, "latchkey_migration_version"), 6)
        assert.isBelow(
          Math.abs(Date.now() / 1_000 - valueOf(text, "process_start_time_seconds")),
          120,
        )
        assert.strictEqual(valueOf(text, "latchkey_http_connections_limit"), 10_000)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  )

  it.live.runIf(Promtool.isInstalled)(
    "are as Prometheus wants them",
    () =>
      Effect.gen(function* () {
        const { code, said } = yield* Promtool.run(
          ["check", "metrics"],
          { input: yield* metricsOfService("2") },
        )
        assert.strictEqual(said, "")
        assert.strictEqual(code, 0)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  )
})
