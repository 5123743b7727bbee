/**
 * What was acknowledged, held against what the database has: every row, none twice, in its state.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { ConnectionParameters } from "../../../src/database/ConnectionParameters.ts"
import type { Client } from "./Client.ts"
import { query } from "./Cluster.ts"
import type { Report } from "./Load.ts"

/** One user's calls: two tokens, of which one was rotated and the other revoked, and an attempt. */
export interface Journey {
  readonly userId: string
  readonly email: string
  /** Ids, and hashes, of the tokens. */
  readonly first: string
  readonly other: string
  readonly successor: string
  readonly attempt: string
  /** All tokens were revoked in the end. */
  readonly signedOut: boolean
}

const expectedTokens = ({ userId, first, other, successor, signedOut }: Journey) => [
  { id: first, userId, tokenHash: first, revoked: true, successor },
  { id: other, userId, tokenHash: other, revoked: true, successor: null },
  { id: successor, userId, tokenHash: successor, revoked: signedOut, successor: null },
]

const sorted = <A extends { readonly id: string }>(rows: ReadonlyArray<A>) =>
  [...rows].sort((a, b) => a.id < b.id ? -1 : 1)

/** Fails unless the database holds exactly what was acknowledged. */
export const verify = Effect.fnUntraced(function* (
  connection: ConnectionParameters,
  { journeys, acknowledged, violations }: Report,
) {
  assert.deepStrictEqual(violations, [])
  assert.isAtLeast(acknowledged, 300)
  const [{ email = "" } = {}] = journeys
  // Every address of the load begins with the same eight characters.
  const ours = `left(email, 8) = '${email.slice(0, 8)}'`
  const ask = query(connection)
  assert.deepStrictEqual(
    yield* ask(`SELECT id::text, email FROM users WHERE ${ours} ORDER BY id::text COLLATE "C"`),
    sorted(journeys.map(({ userId, email }) => ({ id: userId, email }))),
  )
  assert.deepStrictEqual(
    yield* ask(`
      SELECT
        t.id::text,
        t.user_id::text AS "userId",
        t.token_hash AS "tokenHash",
        t.revoked_at IS NOT NULL AS revoked,
        t.successor_id::text AS successor
      FROM refresh_tokens t
      JOIN users ON users.id = t.user_id
      WHERE ${ours}
      ORDER BY t.id::text COLLATE "C"`),
    sorted(journeys.flatMap(expectedTokens)),
  )
  assert.deepStrictEqual(
    yield* ask(`
      SELECT id::text, user_id::text AS "userId"
      FROM login_attempts
      WHERE ${ours}
      ORDER BY id::text COLLATE "C"`),
    sorted(journeys.map(({ attempt, userId }) => ({ id: attempt, userId }))),
  )
})

/** Fails unless the service says the same of the tokens of a few users. */
export const verifyAnswers = Effect.fnUntraced(function* (
  client: Client,
  port: number,
  { journeys }: Report,
) {
  const statusOf = Effect.fnUntraced(function* (tokenHash: string) {
    const path = `/v1/refresh-tokens/${tokenHash}/valid`
    const outcome = yield* client(port, { method: "GET", path })
    return outcome._tag === "Answered" ? outcome.answer.status : outcome._tag
  })
  for (const { first, other, successor, signedOut } of journeys.slice(-10)) {
    assert.deepStrictEqual(
      yield* Effect.forEach([first, other, successor], statusOf),
      [404, 404, signedOut ? 404 : 200],
    )
  }
})
