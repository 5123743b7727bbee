/**
 * What happens when ten times as much is asked of the service as it can do: `deno run -A bench/limits/overload.ts`.
 *
 * Rounds at its capacity (64 connections) and at ten times that alternate, so that all see the same
 * machine: with clients that wait as `Retry-After` asks, and with clients that ask again at once.
 */
import { Console, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { runMain } from "../../src/process/runMain.ts"
import { median, table } from "../report.ts"
import { Bench, load, requestOf } from "./Bench.ts"

const seconds = 6
const rounds = 5

type Result = Effect.Success<ReturnType<typeof load>>

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [user] = yield* sql<{ readonly id: string }>`
    INSERT INTO users (email, auth_provider, password_hash)
    SELECT 'user-' || number || '@example.com', 'email', 'hash'
    FROM generate_series(1, 10000) AS number
    RETURNING id`
  const request = requestOf("GET", `/v1/users/${user?.id}`)
  yield* load({ connections: 64, seconds, request })

  const loads = [
    { connections: 64, impatient: false },
    { connections: 640, impatient: false },
    { connections: 640, impatient: true },
  ].map((clients) => ({ ...clients, measured: Array<Result>() }))
  for (let round = 0; round < rounds; round++) {
    for (const { connections, impatient, measured } of loads) {
      measured.push(yield* load({ connections, impatient, seconds, request }))
    }
  }
  const rows = loads.map(({ connections, impatient, measured }) => {
    const column = (of: (result: Result) => number) => `${Math.round(median(measured.map(of)))}`
    return [
      `${connections}`,
      impatient ? "asked again" : "waited",
      column(({ goodput }) => goodput),
      column(({ p50 }) => p50),
      column(({ p99 }) => p99),
      column(({ max }) => max),
      column(({ statuses }) => (statuses["503"] ?? 0) / seconds),
    ]
  })
  yield* Console.log(table(
    [
      "connections",
      "after a 503",
      "answered a second",
      "p50 ms",
      "p99 ms",
      "slowest ms",
      "503 a second",
    ],
    rows,
  ))
})

runMain(program.pipe(Effect.provide(Bench.layer()), Effect.scoped))
