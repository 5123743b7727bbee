/**
 * What ends sessions, beside refreshes of the same sessions: whichever comes first, none of the tokens
 * may be live afterwards.
 */
import { Effect } from "effect"
import {
  addedBy,
  anAccount,
  aToken,
  prepare,
  preparedTokenHash,
  sessionTokenHash,
  type Size,
  type UsesUp,
} from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { operations, post, type Request } from "./operations.ts"
import { send, type Server } from "./Server.ts"

/** How often each race is run, and how many times at once. */
const times = 200
const atOnce = 32

/** Refreshes of a session, one after the other, so that one of them meets what ends it. */
const refreshes = 4

interface Race {
  readonly name: string
  readonly usesUp: UsesUp
  readonly ends: (size: Size, run: number) => (i: number) => Request
  /** The hash of the token that is refreshed. */
  readonly token: (run: number, i: number) => string
  /** A condition for the tokens that the race is about. */
  readonly tokens: (run: number) => string
}

const requestsOf = (name: string) => (size: Size, run: number) =>
  operations.find((operation) => operation.name === name)!.requests({ size, run })

export const races: ReadonlyArray<Race> = [
  {
    name: "revoke beside rotate",
    usesUp: aToken,
    ends: requestsOf("revoke"),
    token: preparedTokenHash,
    tokens: (run) =>
      `token_hash LIKE 'race-${run}-%' OR token_hash = ANY (ARRAY(
        SELECT bench.prepared_token_hash(${run}, i) FROM generate_series(0, ${times - 1}) AS i
      ))`,
  },
  {
    name: "password change beside rotate",
    usesUp: anAccount,
    ends: requestsOf("password change"),
    token: (run, i) => sessionTokenHash(run, i, 1),
    tokens: (run) =>
      `session_id = ANY (ARRAY(
        SELECT bench.session_id(${run}, i, 1) FROM generate_series(0, ${times - 1}) AS i
      ))`,
  },
]

const expectStatus = (server: Server, request: Request, expected: ReadonlyArray<number>) =>
  Effect.flatMap(
    send(server.port, request),
    ({ status, json }) =>
      expected.includes(status) ? Effect.void : Effect.fail(
        new Failure({
          message: `${server.contestant.name} answers ${request.method} ${request.path} with ` +
            `${status}: ${JSON.stringify(json)}`,
        }),
      ),
  )

/** Runs a race many times; fails if a token outlives one. */
export const race = Effect.fnUntraced(function* (
  server: Server,
  { name, usesUp, ends, token, tokens }: Race,
  size: Size,
  run: number,
) {
  const database = yield* Database
  yield* database.run(prepare({ usesUp }, size, run, times))
  const end = ends(size, run)
  const successor = (i: number, k: number) => `race-${run}-${i}-${k}`
  const refresh = (i: number, k: number) =>
    post(`/v1/refresh-tokens/${k === 0 ? token(run, i) : successor(i, k - 1)}/rotate`, {
      tokenHash: successor(i, k),
      expiresAt: "2099-01-01T00:00:00.000Z",
    })
  yield* Effect.forEach(
    Array.from({ length: times }, (_, i) => i),
    (i) =>
      Effect.all([
        Effect.forEach(
          Array.from({ length: refreshes }, (_, k) => k),
          (k) => expectStatus(server, refresh(i, k), [201, 404, 409]),
        ),
        expectStatus(server, end(i), [200]),
      ], { concurrency: "unbounded" }),
    { concurrency: atOnce, discard: true },
  )
  const [left] = yield* database.query<{ readonly live: number; readonly others: number }>(`
    SELECT
      (count(*) FILTER (WHERE revoked_at IS NULL))::int AS live,
      (count(*) FILTER (WHERE user_agent IS DISTINCT FROM '${addedBy}'))::int AS others
    FROM refresh_tokens
    WHERE ${tokens(run)}`)
  if (left!.live === 0 && left!.others === 0) return
  return yield* new Failure({
    message:
      `${server.contestant.name}: after ${times} times ${name}, ${left!.live} token(s) are ` +
      `live, and ${left!.others} successor(s) do not have the user agent of their session`,
  })
})
