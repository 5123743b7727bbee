/**
 * What a delete of a million rows does to the requests beside it: `deno run -A bench/limits/maintenance.ts`.
 */
import { Console, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { runMain } from "../../src/process/runMain.ts"
import { Bench, load, requestOf } from "./Bench.ts"

const rows = 1_000_000
const connections = 16

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [user] = yield* sql<{ readonly id: string }>`
    INSERT INTO users (email, auth_provider, password_hash) VALUES ('a@example.com', 'email', 'hash')
    RETURNING id`
  const userId = user?.id ?? ""
  yield* sql`
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
    SELECT ${userId}, 'old-' || number, now() - interval '30 days'
    FROM generate_series(1, ${rows}::int) AS number`
  yield* sql`
    INSERT INTO refresh_tokens (user_id, token_hash, expires_at)
    VALUES (${userId}, 'live', now() + interval '30 days')`
  yield* sql`ANALYZE`
  const request = requestOf("GET", "/v1/refresh-tokens/live/valid")
  const print = (
    name: string,
    { goodput, p50, p99, max, statuses }: Effect.Success<ReturnType<typeof load>>,
  ) =>
    Console.log(
      `| ${name} | ${Math.round(goodput)} | ${p50.toFixed(1)} | ${p99.toFixed(1)} | ` +
        `${max.toFixed(0)} | ${JSON.stringify(statuses)} |`,
    )

  yield* load({ connections, seconds: 6, request })
  yield* Console.log("| | answered a second | p50 ms | p99 ms | slowest ms | answers |")
  yield* Console.log("|---|---|---|---|---|---|")
  yield* print("alone", yield* load({ connections, seconds: 10, request }))
  const deleting = yield* Effect.forkChild(
    load({
      connections: 1,
      seconds: 0,
      request: requestOf("POST", "/v1/maintenance/delete-expired-tokens", {}),
    }),
  )
  yield* print("beside the delete", yield* load({ connections, seconds: 10, request }))
  const { p50, statuses } = yield* Fiber.join(deleting)
  const [left] = yield* sql<
    { readonly count: number }
  >`SELECT count(*)::int AS count FROM refresh_tokens`
  yield* Console.log(
    `The delete of ${rows} rows took ${(p50 / 1000).toFixed(1)} s (${JSON.stringify(statuses)}); ` +
      `${left?.count} row is left.`,
  )
})

runMain(program.pipe(Effect.provide(Bench.layer()), Effect.scoped))
