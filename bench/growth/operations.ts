/**
 * What the growth of the tables is measured with: the operations of the comparison with peers, and
 * those that only latchkey has. Their rows lie all over the tables.
 */
import { DateTime } from "effect"
import { Place } from "../../src/domain/Page.ts"
import { Uuid } from "../../src/domain/Uuid.ts"
import { toPageJson } from "../../src/server/handlers/cursors.ts"
import * as Data from "../data.ts"
import { addedBy, type Size, userId } from "../data.ts"
import { type Context, get, type Operation, pick, post, single, users } from "../operations.ts"

/** How many rows a clean-up deletes. */
export const expired = 5_000

/** Users of the data are made a minute apart, over so many minutes. */
const minutes = (size: Size) => Math.min(size.users, 500_000)

const listUsers = ({ size, run }: Context) => {
  const now = DateTime.nowUnsafe()
  return (i: number) => {
    const age = (Math.imul(i + run * 1_000_003, 0x9e3779b1) >>> 0) % minutes(size)
    const next = new Place({
      createdAt: DateTime.subtract(now, { minutes: age }),
      id: Uuid.make("00000000-0000-4000-8000-000000000000"),
    })
    const { nextCursor } = toPageJson("users", { items: [], next }, (item) => item)
    return get(`/v1/users?limit=50&cursor=${nextCursor}`)
  }
}

const listTokens = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) => get(`/v1/users/${user(i).id}/refresh-tokens`)
}

const userByGoogleId = (context: Context) => {
  const user = pick(users(context.size.users), context)
  // Every fourth has one.
  return (i: number) => get(`/v1/users/by-google-id/google-${Math.ceil(user(i).i / 4) * 4}`)
}

const failuresByEmail = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) =>
    get(
      `/v1/login-attempts/recent-failures?email=user.${user(i).i}%40example.com&minutes=1440`,
    )
}

const updateUser = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) => ({
    method: "PATCH" as const,
    path: `/v1/users/${user(i).id}`,
    body: { fullName: `${addedBy} ${context.run} ${i}` },
  })
}

/**
 * Users whose tokens in the data are all dead (see `isLive`), evenly spread: the number of the `i`-th
 * of a thousand is `i` times this, and 2.
 */
const stride = (size: Size) => 10 * Math.floor(size.users / 10_000)

const revokeAll = ({ size }: Context) => (i: number) =>
  post(`/v1/users/${userId(stride(size) * i + 2)}/refresh-tokens/revoke`)

/** Beyond the numbers of the data. */
const firstDoomed = (run: number) => 1_000_000_000 + 100_000 * run

const deleteUser = ({ run }: Context) => (i: number) => ({
  method: "DELETE" as const,
  path: `/v1/users/${userId(firstDoomed(run) + i)}`,
})

const deleteTokens = () => () => post("/v1/maintenance/delete-expired-tokens", {})

const deleteAttempts = () => () => post("/v1/maintenance/delete-old-login-attempts", {})

const read = { kind: "read", status: 200 } as const
const write = { kind: "write", status: 200 } as const

/** What the comparison with peers leaves out. */
export const further: ReadonlyArray<Operation> = [
  { ...read, name: "user by Google id", requests: userByGoogleId },
  { ...read, name: "failures by e-mail", requests: failuresByEmail },
  { ...read, name: "50 of all users", requests: listUsers },
  { ...read, name: "tokens of a user", requests: listTokens },
  { ...write, name: "update user", requests: updateUser },
  { ...write, name: "revoke all of a user", requests: revokeAll },
  { ...write, name: "delete user", status: 204, requests: deleteUser },
  { ...write, name: "clean up tokens", requests: deleteTokens },
  { ...write, name: "clean up attempts", requests: deleteAttempts },
]

export const all: ReadonlyArray<Operation> = [...single, ...further]

/**
 * How many requests a run makes, with many connections and with one. Reads are many, because each of
 * PostgreSQL's processes has a page fault for each page that it sees for the first time: a service
 * whose connections are hours old has few of them.
 */
export const requestsOf = ({ name, kind, usesUp }: Operation) => {
  if (name.startsWith("clean up")) return { many: 0, one: 1 }
  if (name.startsWith("50")) return { many: 1_000, one: 300 }
  if (name === "revoke all of a user" || usesUp?.what === "accounts") {
    return { many: 1_000, one: 300 }
  }
  // Few enough writes for the smallest tables to stay about as small as they are.
  return { many: kind === "read" ? 40_000 : 3_000, one: 300 }
}

/**
 * Makes rows wider than those of the data: they lie together, as rows of one time do, and not one
 * each in what is left of the pages before.
 */
const padding = `repeat('0', 150)`

const oldTokens = (size: Size, run: number) =>
  `INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent)
    SELECT
      bench.user_id(1 + i * 7919 % ${size.users}),
      bench.prepared_token_hash(${run}, i) || ${padding},
      now() - interval '30 days',
      '${addedBy}'
    FROM generate_series(1, ${expired}::bigint) AS i`

const oldAttempts = (size: Size) =>
  `INSERT INTO login_attempts (
      user_id, email, ip_address, user_agent, success, failure_reason, attempted_at
    )
    SELECT
      bench.user_id(1 + i * 7919 % ${size.users}),
      'User.' || 1 + i * 7919 % ${size.users} || '@example.com',
      '198.51.100.7',
      '${addedBy}',
      false,
      ${padding},
      now() - interval '100 days'
    FROM generate_series(1, ${expired}::bigint) AS i`

/** A live token for each. */
const sessions = (size: Size, run: number, count: number) =>
  `INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent)
    SELECT
      bench.user_id(${stride(size)} * i + 2),
      bench.prepared_token_hash(${run}, i),
      '2099-01-01 00:00:00+00',
      '${addedBy}'
    FROM generate_series(0, ${count}::bigint - 1) AS i`

/** Each with a token and an attempt, which are deleted and cut loose. */
const doomedUsers = (run: number, count: number) => {
  const numbers = `generate_series(0, ${count}::bigint - 1) AS i`
  const id = `bench.user_id(${firstDoomed(run)} + i)`
  return [
    `INSERT INTO users (id, email, auth_provider, google_id)
      SELECT ${id}, '${addedBy}.doomed.${run}.' || i || '@example.com', 'google', ${id}::text
      FROM ${numbers}`,
    `INSERT INTO refresh_tokens (user_id, token_hash, expires_at, user_agent)
      SELECT ${id}, bench.prepared_token_hash(${run}, i), '2099-01-01 00:00:00+00', '${addedBy}'
      FROM ${numbers}`,
    `INSERT INTO login_attempts (user_id, email, ip_address, user_agent, success)
      SELECT ${id}, '${addedBy}@example.com', '198.51.100.7', '${addedBy}', true
      FROM ${numbers}`,
  ]
}

/** What a run needs in the tables beforehand. */
export const prepare = (
  operation: Operation,
  size: Size,
  run: number,
  requests: number,
): ReadonlyArray<string> => {
  const { name } = operation
  if (name === "clean up tokens") return [oldTokens(size, run)]
  if (name === "clean up attempts") return [oldAttempts(size)]
  if (name === "revoke all of a user") return [sessions(size, run, requests)]
  if (name === "delete user") return doomedUsers(run, requests)
  return Data.prepare(operation, size, run, requests)
}
