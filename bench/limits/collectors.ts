/**
 * `deno task bench:collectors [REQUESTS [NAME]]`: what collectors cost that are slow or silent.
 *
 * The service answers 40,000 look-ups with each of them, or with the one of that name, all traced. Its
 * memory is looked at before and meanwhile, and once more after a pause.
 */
import { createServer } from "node:http"
import { Console, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { runMain } from "../../src/process/runMain.ts"
import { residentMemory } from "../processTree.ts"
import { table } from "../report.ts"
import { Bench, load, requestOf } from "./Bench.ts"

const requests = Number(Deno.args[0] ?? 40_000)
const chosen = Deno.args[1]
const connections = 64

/** The service's own words for what it has dropped, by `signal`. */
const droppedIn = (metrics: string) => {
  const lines = metrics.matchAll(/^latchkey_telemetry_dropped_total\{signal="(\w+)"\} (\d+)$/gm)
  return Array.from(lines, ([, signal, count]) => `${count} ${signal}`).join(", ") || "-"
}

const collectors = {
  none: undefined,
  good: (answer: () => void) => answer(),
  "slow (1 s)": (answer: () => void) => setTimeout(answer, 1_000),
  hanging: () => {},
}

type Behaviour = (answer: () => void) => unknown

/** Counts what comes, and keeps none of it. */
const listen = (behaviour: Behaviour) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((request, response) => {
        request.on("end", () => behaviour(() => response.end()))
        request.resume()
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      }),
  )

const urlOf = (server: ReturnType<typeof createServer>) => {
  const address = server.address()
  return `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`
}

const measure = Effect.fnUntraced(function* (name: string) {
  const sql = yield* SqlClient.SqlClient
  const { pid, port } = yield* Bench
  const [user] = yield* sql<{ readonly id: string }>`
    INSERT INTO users (email, auth_provider, password_hash)
    VALUES ('user@example.com', 'email', 'hash') RETURNING id`
  const request = requestOf("GET", `/v1/users/${user?.id}`)
  const memory = Effect.sync(() => Math.round(residentMemory(pid) / 1024 / 1024))
  // What is compiled and allocated once is no cost of a collector.
  yield* load({ connections, seconds: 5, request })
  const before = yield* memory
  let answered = 0
  let seconds = 0
  let most = before
  while (answered < requests) {
    const { goodput } = yield* load({ connections, seconds: 2, request })
    answered += goodput * 2
    seconds += 2
    most = Math.max(most, yield* memory)
  }
  yield* Effect.sleep("15 seconds")
  const metrics = yield* Effect.promise(() =>
    fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text())
  )
  return [
    name,
    String(Math.round(answered / seconds)),
    `${before}`,
    `${most}`,
    `${yield* memory}`,
    droppedIn(metrics),
  ]
})

const benchOf = (behaviour: Behaviour | undefined) =>
  Effect.map(
    behaviour === undefined ? Effect.succeed({}) : Effect.map(
      listen(behaviour),
      (server) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: urlOf(server) }),
    ),
    Bench.layer,
  )

const program = Effect.gen(function* () {
  const all = Object.entries(collectors)
  const measured = chosen === undefined ? all : all.filter(([name]) => name === chosen)
  const rows = yield* Effect.forEach(
    measured,
    ([name, behaviour]) =>
      measure(name).pipe(Effect.provide(Layer.unwrap(benchOf(behaviour))), Effect.scoped),
  )
  yield* Console.log(table(
    ["collector", "answered a second", "MiB before", "MiB most", "MiB 15 s later", "dropped"],
    rows,
  ))
})

runMain(program)
