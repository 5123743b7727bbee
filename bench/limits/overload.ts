/**
 * What happens when ten times as much is asked of the service as it can do: `deno run -A bench/limits/overload.ts`.
 *
 * Rounds at its capacity (64 connections) and at ten times that alternate, so that both see the same
 * machine.
 */
import { Console, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { runMain } from "../../src/runMain.ts"
import { Bench, load, requestOf } from "./Bench.ts"

const seconds = 6
const rounds = 5

const median = (values: ReadonlyArray<number>) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [user] = yield* sql<{ readonly id: string }>`
    INSERT INTO users (email, auth_provider, password_hash)
    SELECT 'user-' || number || '@example.com', 'email', 'hash'
    FROM generate_series(1, 10000) AS number
    RETURNING id`
  const request = requestOf("GET", `/v1/users/${user?.id}`)
  yield* load({ connections: 64, seconds, request })

  const results: Record<number, Array<Effect.Success<ReturnType<typeof load>>>> = {
    64: [],
    640: [],
  }
  for (let round = 0; round < rounds; round++) {
    for (const connections of [64, 640]) {
      results[connections]?.push(yield* load({ connections, seconds, request }))
    }
  }
  yield* Console.log(
    "| connections | answered a second | p50 ms | p99 ms | slowest ms | 503 a second |",
  )
  yield* Console.log("|---|---|---|---|---|---|")
  for (const [connections, measured] of Object.entries(results)) {
    const column = (of: (result: typeof measured[number]) => number) =>
      Math.round(median(measured.map(of)))
    yield* Console.log(
      `| ${connections} | ${column(({ goodput }) => goodput)} | ${column(({ p50 }) => p50)} | ` +
        `${column(({ p99 }) => p99)} | ${column(({ max }) => max)} | ` +
        `${column(({ statuses }) => (statuses["503"] ?? 0) / seconds)} |`,
    )
  }
})

runMain(program.pipe(Effect.provide(Bench.layer()), Effect.scoped))
