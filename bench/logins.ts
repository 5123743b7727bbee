/**
 * What every contestant's logins have to be like: a login that fails and one that succeeds, what is
 * refused, and what many at once must not get past.
 */
import { Effect } from "effect"
import { accountEmail, accountId, addedBy, anAccount, prepare, type Size } from "./data.ts"
import { Database } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { type Begun, operations, post, type Request } from "./operations.ts"
import { send, type Server } from "./Server.ts"

const limitsOf = (failures: { readonly email?: number; readonly ipAddress?: number }) =>
  Object.entries(failures).map(([by, failures]) => ({ by, failures, minutes: 15 }))

const usual = limitsOf({ email: 5, ipAddress: 100 })

const begin = (email: string, ipAddress: string, limits = usual) =>
  post("/v1/login-attempts/begin?include=credentials", {
    email,
    ipAddress,
    userAgent: addedBy,
    limits,
  })

const complete = ({ attempt }: Pick<Begun, "attempt">, verdict: Record<string, unknown>) =>
  post(`/v1/login-attempts/${attempt.id}/complete`, verdict)

const withToken = ({ user }: Begun, name: string, token: Record<string, unknown> = {}) => ({
  success: true,
  refreshToken: {
    userId: user.userId,
    userVersion: user.version,
    tokenHash: `login-${name}`,
    expiresAt: "2099-01-01T00:00:00.000Z",
    userAgent: addedBy,
    ...token,
  },
})

/** A host that no measured login comes from. */
const hostOf = (run: number, i: number) => `10.${200 + (run >> 8 & 31)}.${run & 255}.${i}`

/** What the attempts from a host are, without ids and times. */
const attemptsFrom = (host: string) => `
  SELECT json_agg(attempt ORDER BY attempt::text) AS attempts
  FROM (
    SELECT json_build_array(
      login_attempts.user_id IS NOT NULL,
      login_attempts.user_agent,
      success,
      pending,
      failure_reason,
      completed_at IS NOT NULL,
      refresh_token_id IS NOT NULL,
      token.user_id = login_attempts.user_id,
      token.session_id IS NULL AND token.signed_in_at IS NULL,
      token.user_agent,
      token.revoked_reason
    ) AS attempt
    FROM login_attempts
    LEFT JOIN refresh_tokens AS token ON token.id = refresh_token_id
    WHERE login_attempts.ip_address = '${host}'
  ) AS attempts`

/** Requests one after the other with the answers that are to be alike, and what they leave. */
export const logins = Effect.fnUntraced(function* (server: Server, size: Size, run: number) {
  const database = yield* Database
  yield* database.run(prepare({ usesUp: anAccount }, size, run, 1))
  const host = hostOf(run, 1)
  const begins = begin(accountEmail(run, 0), host)
  const exchanges: Array<{ readonly what: string; readonly request: Request; json: object }> = []

  const ask = Effect.fnUntraced(function* (what: string, request: Request, expected: number) {
    const { status, json } = yield* send(server.port, request)
    if (status !== expected) {
      return yield* new Failure({
        message: `${server.contestant.name} answers a login, ${what}, with ${status}, not ` +
          `${expected}: ${JSON.stringify(json)}`,
      })
    }
    if (status < 300) exchanges.push({ what, request, json })
    return json as unknown as Begun
  })

  const first = yield* ask("the first one", begins, 201)
  yield* ask("failed", complete(first, { success: false, failureReason: "wrong password" }), 200)
  const second = yield* ask("after a failure", begins, 201)
  const token = (changes?: Record<string, unknown>) => withToken(second, `${run}`, changes)
  const wrong = { ...token(), success: false }
  yield* ask("failed with a token", complete(second, wrong), 400)
  yield* ask("by another user", complete(second, token({ userId: accountId(run, 1) })), 422)
  yield* ask("by a changed user", complete(second, token({ userVersion: "1" })), 412)
  yield* ask("succeeded", complete(second, token()), 200)
  yield* ask("failed after it succeeded", complete(second, { success: false }), 409)
  const third = yield* ask("after a success", begins, 201)
  const limited = (failures: Parameters<typeof limitsOf>[0]) =>
    begin(accountEmail(run, 0), host, limitsOf(failures))
  yield* ask("at the limit of the address", limited({ email: 1 }), 429)
  yield* ask("at the limit of the host", limited({ email: 5, ipAddress: 2 }), 429)
  yield* ask("of nobody", begin(`${addedBy}.nobody.${run}@example.com`, host), 201)
  yield* ask("without limits", limited({}), 201)
  yield* database.run([
    `UPDATE users SET is_active = false WHERE id = '${accountId(run, 0)}'`,
  ])
  yield* ask("by an inactive user", complete(third, withToken(third, `${run}-inactive`)), 409)
  const unknown = { attempt: { id: accountId(run, 0) } }
  yield* ask("that never began", complete(unknown, { success: true }), 404)
  const [left] = yield* database.query(attemptsFrom(host))
  return { exchanges, left: JSON.stringify(left) }
})

const atOnce = 40
const mayFail = 5
const times = 10

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

const statusesOf = (server: Server, requests: ReadonlyArray<Request>) =>
  Effect.forEach(
    requests,
    (request) => Effect.map(send(server.port, request), ({ status }) => status),
    { concurrency: "unbounded" },
  )

const expectEach = Effect.fnUntraced(function* (
  server: Server,
  what: string,
  statuses: ReadonlyArray<number>,
  expected: Record<number, number>,
) {
  const found: Record<number, number> = {}
  for (const status of statuses) found[status] = (found[status] ?? 0) + 1
  if (JSON.stringify(found) === JSON.stringify(expected)) return
  return yield* new Failure({
    message: `${server.contestant.name}, ${what}: statuses ${JSON.stringify(found)}, not ` +
      JSON.stringify(expected),
  })
})

/** Of forty attempts at once as many begin as a limit leaves, by address as by host. */
const raceForLimit = Effect.fnUntraced(function* (server: Server, size: Size, run: number) {
  const database = yield* Database
  yield* database.run(prepare({ usesUp: anAccount }, size, run, 2 * times))
  const ofAddress = (n: number) => accountEmail(run, n)
  const races = numbers(times).flatMap((n) => [
    {
      what: `${atOnce} logins of an address at once`,
      requests: numbers(atOnce).map((i) =>
        begin(ofAddress(n), hostOf(run, i), limitsOf({ email: mayFail, ipAddress: 1000 }))
      ),
      recorded: `email = '${ofAddress(n)}'`,
    },
    {
      what: `${atOnce} logins from a host at once`,
      requests: numbers(atOnce).map((i) =>
        begin(
          `${addedBy}.host.${run}.${n}.${i}@example.com`,
          hostOf(run, 100 + n),
          limitsOf({ email: 1000, ipAddress: mayFail }),
        )
      ),
      recorded: `ip_address = '${hostOf(run, 100 + n)}'`,
    },
  ])
  for (const { what, requests, recorded } of races) {
    const statuses = yield* statusesOf(server, requests)
    yield* expectEach(server, what, statuses, { 201: mayFail, 429: atOnce - mayFail })
    const [left] = yield* database.query<{ readonly count: number }>(
      `SELECT count(*)::int AS count FROM login_attempts WHERE ${recorded}`,
    )
    if (left!.count !== mayFail) {
      return yield* new Failure({
        message: `${server.contestant.name}, ${what}: ${left!.count} are recorded`,
      })
    }
  }
})

const passwordChange = operations.find(({ name }) => name === "password change")!

/**
 * One of several completions of an attempt counts; and a password that changes meanwhile leaves no
 * session that it should have ended.
 */
const raceToComplete = Effect.fnUntraced(function* (server: Server, size: Size, run: number) {
  const database = yield* Database
  yield* database.run(prepare({ usesUp: anAccount }, size, run, 2 * times))
  const begun = (n: number) =>
    Effect.map(
      send(server.port, begin(accountEmail(run, n), hostOf(run, n))),
      ({ json }) => json as unknown as Begun,
    )
  for (const n of numbers(times)) {
    const attempt = yield* begun(n)
    const statuses = yield* statusesOf(
      server,
      numbers(8).map((i) => complete(attempt, withToken(attempt, `${run}-${n}-${i}`))),
    )
    yield* expectEach(server, "8 completions of a login at once", statuses, { 200: 1, 409: 7 })
  }
  const change = passwordChange.requests({ size, run })
  for (const n of numbers(times).map((i) => times + i)) {
    const attempt = yield* begun(n)
    yield* statusesOf(server, [complete(attempt, withToken(attempt, `${run}-${n}`)), change(n)])
  }
  const [tokens] = yield* database.query<{ readonly first: number; readonly live: number }>(`
    SELECT
      (count(*) FILTER (WHERE token_hash ~ '-.*-.*-'))::int AS first,
      (count(*) FILTER (WHERE token_hash !~ '-.*-.*-' AND revoked_at IS NULL))::int AS live
    FROM refresh_tokens
    WHERE token_hash LIKE 'login-${run}-%'`)
  if (tokens!.first === times && tokens!.live === 0) return
  return yield* new Failure({
    message: `${server.contestant.name}: ${times} logins completed many times at once have ` +
      `${tokens!.first} tokens, and ${tokens!.live} outlive a change of the password`,
  })
})

export const races = [raceForLimit, raceToComplete]
