/**
 * What was acknowledged, held against what the primary has and what the services answer.
 */
import { Effect } from "effect"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"
import type { Client } from "../../faults/support/Client.ts"
import { query } from "../../faults/support/Cluster.ts"
import type { Journey } from "../../faults/support/Ledger.ts"
import { creations, isValid, validityOf } from "./Load.ts"

export interface Found {
  /** Acknowledged, and not there or not as it was acknowledged. */
  readonly lost: number
  /** There, although nothing that was acknowledged made it. */
  readonly twice: number
  /** Tokens that can be used although their end was acknowledged. */
  readonly wronglyValid: number
  /** Calls that were repeated with their key after all, and not answered as the first time. */
  readonly differently: number
}

/** Rows by their ids, each as a text of what matters about it. */
type Rows = ReadonlyMap<string, string>

const expected = (journeys: ReadonlyArray<Journey>): Rows =>
  new Map(journeys.flatMap(({ userId, email, first, other, successor, attempt, signedOut }) => [
    [userId, `user ${email}`],
    [attempt, `attempt of ${userId}`],
    [first, `token of ${userId}: revoked for ${successor}`],
    [other, `token of ${userId}: revoked for none`],
    [successor, `token of ${userId}: ${signedOut ? "revoked" : "live"} for none`],
  ]))

const select = (condition: string) => `
  WITH ours AS (SELECT id, email FROM users WHERE ${condition})
  SELECT id::text, 'user ' || email AS text FROM ours
  UNION ALL
  SELECT a.id::text, 'attempt of ' || a.user_id FROM login_attempts a WHERE ${condition}
  UNION ALL
  SELECT t.id::text, format('token of %s: %s for %s', t.user_id,
    CASE WHEN t.revoked_at IS NULL THEN 'live' ELSE 'revoked' END,
    coalesce(t.successor_id::text, 'none'))
  FROM refresh_tokens t JOIN ours ON ours.id = t.user_id`

const rowsOf = Effect.fnUntraced(function* (primary: ConnectionParameters, run: string) {
  const rows = yield* query(primary)(select(`starts_with(email, '${run}')`)) as Effect.Effect<
    // By the statement above.
    ReadonlyArray<{ readonly id: string; readonly text: string }>
  >
  return new Map(rows.map(({ id, text }) => [id, text]))
})

/** How many of the last users' calls are repeated, and tokens looked at, at each service. */
const sample = 20

/** Repeats the calls of some users that made something; gives how many were answered otherwise. */
const repeat = Effect.fnUntraced(function* (
  client: Client,
  port: number,
  journeys: ReadonlyArray<Journey>,
) {
  let differently = 0
  for (const journey of journeys.slice(-sample)) {
    for (const call of Object.values(creations(journey))) {
      const outcome = yield* client(port, call)
      if (outcome._tag !== "Answered" || outcome.answer.status !== 201) differently++
    }
  }
  return differently
})

/** How many tokens a service takes for valid that must not be. */
const countWronglyValid = Effect.fnUntraced(function* (
  client: Client,
  port: number,
  journeys: ReadonlyArray<Journey>,
) {
  let count = 0
  for (const journey of journeys.slice(-sample)) {
    for (const [hash, status] of validityOf(journey)) {
      const outcome = yield* client(port, isValid(hash))
      if (status === 404 && (outcome._tag !== "Answered" || outcome.answer.status !== 404)) count++
    }
  }
  return count
})

/** Compares; the calls of the last users are repeated before, so that they may make nothing new. */
export const verify = Effect.fnUntraced(function* (
  { primary, client, ports, journeys, run }: {
    readonly primary: ConnectionParameters
    readonly client: Client
    readonly ports: ReadonlyArray<number>
    readonly journeys: ReadonlyArray<Journey>
    readonly run: string
  },
) {
  const repeated = yield* Effect.forEach(ports, (port) => repeat(client, port, journeys))
  const answered = yield* Effect.forEach(
    ports,
    (port) => countWronglyValid(client, port, journeys),
  )
  const wanted = expected(journeys)
  const rows = yield* rowsOf(primary, run)
  const isLiveAgain = (id: string) =>
    wanted.get(id)?.includes(": revoked ") === true && rows.get(id)?.includes(": live ") === true
  const sum = (counts: ReadonlyArray<number>) => counts.reduce((one, other) => one + other, 0)
  const found: Found = {
    lost: [...wanted].filter(([id, text]) => rows.get(id) !== text).length,
    twice: [...rows.keys()].filter((id) => !wanted.has(id)).length,
    wronglyValid: sum(answered) + [...rows.keys()].filter(isLiveAgain).length,
    differently: sum(repeated),
  }
  return found
})
