/**
 * How the operations of a pair are made to meet.
 *
 * Started at the same instant, they often do not: the first is done before PostgreSQL has read the second.
 * So a third session holds what they need, waits until each of them is done or is seen to wait for a lock,
 * and lets go. Which lock it is decides where in their statements they stand then:
 *
 * - `user`, the user's row FOR UPDATE, as a revocation of all does: all that begin with the user stand
 *   at their beginning, and go on together;
 * - `share`, the user's row FOR KEY SHARE, as a rotation does: what takes the row FOR UPDATE waits, a
 *   deactivation with its UPDATE done, and what adds tokens passes in front of it;
 * - `tokens`, the live tokens FOR NO KEY UPDATE, as a revocation does: what has the user's row already
 *   stands with an old snapshot in front of a row that is about to change;
 * - `both`: no operation gets past its first row;
 * - `instant`: nobody holds anything, and both start at once, so that statements that hold each other up
 *   by nothing but their own locks meet.
 *
 * The second operation starts when the first waits or is done, so that the order of the queue is known;
 * each scene has both orders.
 *
 * Last, `between` starts one operation before each statement of the other, and lets that go on when the
 * first is done or waits: what an operation found out in one statement may be wrong in the next.
 */
import { Deferred, Effect, Fiber, Option } from "effect"
import { SqlClient } from "effect/sql"
import { whileHeld } from "../support/atOnce.ts"
import { beforeStatement } from "../support/beforeStatement.ts"
import type { Fixture } from "./fixtures.ts"

const gates = ["instant", "user", "share", "tokens", "both"] as const
export type Gate = typeof gates[number]

export interface Scene {
  readonly gate: Gate
  /** Whether the second operation of the pair starts first. */
  readonly isReversed: boolean
}

export const scenes: ReadonlyArray<Scene> = gates.flatMap((gate) => [
  { gate, isReversed: false },
  { gate, isReversed: true },
])

const holdUsers = (sql: SqlClient.SqlClient, fixtures: ReadonlyArray<Fixture>, mode: string) =>
  sql`
    SELECT FROM users
    WHERE id = ANY(${fixtures.map(({ user }) => user.id)}::uuid[])
    ORDER BY id
    ${sql.literal(mode)}`

const holdTokens = (sql: SqlClient.SqlClient, fixtures: ReadonlyArray<Fixture>) =>
  sql`
    SELECT FROM refresh_tokens
    WHERE
      user_id = ANY(${fixtures.map(({ user }) => user.id)}::uuid[])
      AND revoked_at IS NULL
    ORDER BY id
    FOR NO KEY UPDATE`

const hold = (gate: Exclude<Gate, "instant">, fixtures: ReadonlyArray<Fixture>) =>
  SqlClient.SqlClient.use((sql) => {
    switch (gate) {
      case "user":
        return holdUsers(sql, fixtures, "FOR UPDATE")
      case "share":
        return holdUsers(sql, fixtures, "FOR KEY SHARE")
      case "tokens":
        return holdTokens(sql, fixtures)
      case "both":
        return Effect.andThen(holdUsers(sql, fixtures, "FOR UPDATE"), holdTokens(sql, fixtures))
    }
  })

type Running = Fiber.Fiber<string>

const isRunning = (fiber: Running) => fiber.pollUnsafe() === undefined

/** How many sessions of this database wait for a lock. */
const countWaiting = SqlClient.SqlClient.use((sql) =>
  Effect.map(
    sql`
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    ({ length }) => length,
  )
)

/** Looks so often at most: a call that waits in memory behind others is never seen to wait. */
const maxLooks = 60

/** Waits until each of the calls is done or waits for a lock; tells whether that was seen. */
const untilMet = Effect.fnUntraced(function* (calls: ReadonlyArray<Running>) {
  for (let looks = 0; looks < maxLooks; looks++) {
    const waiting = yield* countWaiting
    if (calls.filter(isRunning).length <= waiting) return true
    yield* Effect.sleep("3 millis")
  }
  return false
})

const start = (calls: ReadonlyArray<Effect.Effect<string>>) =>
  Effect.forEach(calls, (call) => Effect.forkChild(call, { startImmediately: true }))

/** What a call that never ends answers. */
const joinAll = (calls: ReadonlyArray<Running>) =>
  Effect.forEach(calls, (call) =>
    Fiber.join(call).pipe(
      Effect.timeoutOption("60 seconds"),
      Effect.map(Option.getOrElse(() => "no answer")),
    ))

export interface Played {
  /** Those of the first and of the second operation of each fixture. */
  readonly answers: ReadonlyArray<readonly [string, string]>
  /** Whether all calls were seen to wait or to be done before they were let go. */
  readonly met: boolean
}

/** Plays a scene for the calls of all fixtures at once, each of whom has a call of either operation. */
export const play = Effect.fnUntraced(function* (
  { gate, isReversed }: Scene,
  fixtures: ReadonlyArray<Fixture>,
  calls: readonly [
    first: ReadonlyArray<Effect.Effect<string>>,
    second: ReadonlyArray<Effect.Effect<string>>,
  ],
) {
  const [one, two] = isReversed ? [calls[1], calls[0]] : calls
  const held = Effect.gen(function* () {
    const earlier = yield* start(one)
    const firstMet = gate === "instant" || (yield* untilMet(earlier))
    const later = yield* start(two)
    const met = gate === "instant" || (yield* untilMet([...earlier, ...later]))
    return { earlier, later, met: firstMet && met }
  })
  const { earlier, later, met } = yield* gate === "instant"
    ? held
    : whileHeld(hold(gate, fixtures), held)
  const [first, second] = isReversed ? [later, earlier] : [earlier, later]
  const firstAnswers = yield* joinAll(first)
  const secondAnswers = yield* joinAll(second)
  return {
    answers: firstAnswers.map((answer, index) => [answer, secondAnswers[index] ?? ""] as const),
    met,
  } satisfies Played
})

/**
 * Starts `inserted` before the statement number `index` of `call`, from 0. Gives both answers, and
 * whether there was such a statement; where there was none, `inserted` came after.
 */
export const between = Effect.fnUntraced(function* (
  call: Effect.Effect<string>,
  index: number,
  inserted: Effect.Effect<string>,
) {
  const sql = yield* SqlClient.SqlClient
  const begin = yield* Deferred.make<void>()
  const other = yield* Effect.forkChild(Effect.andThen(Deferred.await(begin), inserted))
  let isReached = false
  let met = true
  const insert = Effect.gen(function* () {
    isReached = true
    yield* Deferred.succeed(begin, undefined)
    met = yield* untilMet([other])
  }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  const running = yield* Effect.forkChild(beforeStatement(call, index, insert))
  const [answer = ""] = yield* joinAll([running])
  yield* Deferred.succeed(begin, undefined)
  const [otherAnswer = ""] = yield* joinAll([other])
  return { answers: [answer, otherAnswer] as const, isReached, met }
})
