/**
 * What is measured: per operation the requests, each of which does real work. A look-up finds its
 * row, a created row is new, a token that is revoked or rotated was live, and a change of password
 * ends sessions.
 */
import {
  accountId,
  addedBy,
  anAccount,
  aToken,
  hasPassword,
  isLive,
  preparedTokenHash,
  sessionId,
  type Size,
  tokenHash,
  userId,
  type UsesUp,
} from "./data.ts"

/** The bearer key of every contestant. */
export const apiKey = "3q2-7wAAAACbenchmarkkey0123456789abcdef"

export interface Context {
  readonly size: Size
  /** Differs between runs, so that no run repeats the keys of another. */
  readonly run: number
}

export interface Request {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE"
  readonly path: string
  readonly body?: Record<string, unknown>
}

/** What begins a login answers, as far as its end needs it. */
export interface Begun {
  readonly attempt: { readonly id: string }
  readonly user: { readonly userId: string; readonly version: string }
}

export interface Operation {
  readonly name: string
  readonly kind: "read" | "write" | "mix"
  /** The status of success. */
  readonly status: number
  readonly usesUp?: UsesUp
  /** Whether failures that other operations have left would keep it from succeeding. */
  readonly isLimited?: true
  /** The `i`-th request of a run. */
  readonly requests: (context: Context) => (i: number) => Request
  /** What the same client asks for next, when it has the answer: both together are the operation. */
  readonly followUp?: {
    readonly status: number
    readonly requests: (context: Context) => (i: number, answer: Begun) => Request
  }
}

export const get = (path: string): Request => ({ method: "GET", path })
export const post = (path: string, body?: Record<string, unknown>): Request =>
  body === undefined ? { method: "POST", path } : { method: "POST", path, body }

/**
 * Some of the numbers from 1 to `count`, spread without a pattern, since the data has patterns; all
 * of them if they are not too many.
 */
const sample = (count: number) => {
  const most = 100_000
  return Array.from(
    { length: Math.min(count, most) },
    (_, k) => 1 + (count <= most ? k : (Math.imul(k, 0x9e3779b1) >>> 0) % count),
  )
}

/** Computed once per size, because hashing costs more than sending. */
const memoize = <A>(make: (count: number) => ReadonlyArray<A>) => {
  const made = new Map<number, ReadonlyArray<A>>()
  return (count: number): ReadonlyArray<A> => {
    const values = made.get(count) ?? make(count)
    made.set(count, values)
    return values
  }
}

export const users = memoize((count) => sample(count).map((i) => ({ i, id: userId(i) })))
const usersWithPassword = memoize((count) => users(count).filter(({ i }) => hasPassword(i)))
const liveTokens = memoize((count) => sample(count).filter(isLive).map(tokenHash))

/** Picks without order, and differently in each run. */
export const pick = <A>(values: ReadonlyArray<A>, { run }: Context) => (i: number): A =>
  values[(Math.imul(i + run * 1_000_003, 0x9e3779b1) >>> 0) % values.length]!

const userAgent = addedBy

const userById = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) => get(`/v1/users/${user(i).id}`)
}

const userByEmail = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) => get(`/v1/users/by-email/user.${user(i).i}%40example.com`)
}

const validToken = (context: Context) => {
  const token = pick(liveTokens(context.size.tokens), context)
  return (i: number) => get(`/v1/refresh-tokens/${token(i)}/valid`)
}

const withUser = (requests: Operation["requests"]) => (context: Context) => {
  const request = requests(context)
  return (i: number): Request => {
    const { path, ...rest } = request(i)
    return { ...rest, path: `${path}?include=user` }
  }
}

const recentFailures = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) => get(`/v1/users/${user(i).id}/login-attempts/recent-failures?minutes=1440`)
}

const createUser = ({ run }: Context) => (i: number) =>
  post("/v1/users", {
    email: `${addedBy}.${run}.${i}@example.com`,
    authProvider: "email",
    passwordHash: "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
    fullName: "Grace Hopper",
  })

const createAttempt = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) => {
    const { id, i: number } = user(i)
    return post("/v1/login-attempts", {
      userId: id,
      email: `user.${number}@example.com`,
      ipAddress: "198.51.100.7",
      userAgent,
      success: i % 2 === 0,
      failureReason: i % 2 === 0 ? null : "wrong password",
    })
  }
}

const newToken = (run: number, i: number) => ({
  // As long as a hash and as unique, without the cost of one.
  tokenHash: `${run}-${i}-`.padEnd(64, "0123456789abcdef"),
  expiresAt: "2099-01-01T00:00:00.000Z",
  userAgent,
  ipAddress: "198.51.100.7",
})

const createToken = (context: Context) => {
  const user = pick(users(context.size.users), context)
  return (i: number) =>
    post("/v1/refresh-tokens", { userId: user(i).id, ...newToken(context.run, i) })
}

const revoke = ({ run }: Context) => (i: number) =>
  post(`/v1/refresh-tokens/${preparedTokenHash(run, i)}/revoke`)

const rotate = ({ run }: Context) => (i: number) =>
  post(`/v1/refresh-tokens/${preparedTokenHash(run, i)}/rotate`, newToken(run, i))

/** All sessions but the one that asks for it end. */
const changePassword = ({ run }: Context) => (i: number): Request => ({
  method: "PATCH",
  path: `/v1/users/${accountId(run, i)}`,
  body: {
    passwordHash: `$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$${run}-${i}-`.padEnd(
      75,
      "RdescudvJC",
    ),
    revokeSessions: { exceptSessionId: sessionId(run, i, 0) },
  },
})

/** By accounts with a password, each from a host of its own: nobody comes near a limit. */
const beginLogin = (context: Context) => {
  const user = pick(usersWithPassword(context.size.users), context)
  return (i: number) => {
    const number = user(i).i
    return post("/v1/login-attempts/begin?include=credentials", {
      email: `user.${number}@example.com`,
      ipAddress: `10.${number >> 16 & 255}.${number >> 8 & 255}.${number & 255}`,
      userAgent,
      limits: [
        { by: "email", failures: 5, minutes: 15 },
        { by: "ipAddress", failures: 100, minutes: 15 },
      ],
    })
  }
}

const completeLogin = ({ run }: Context) => (i: number, { attempt, user }: Begun) =>
  post(`/v1/login-attempts/${attempt.id}/complete`, {
    success: true,
    refreshToken: { userId: user.userId, userVersion: user.version, ...newToken(run, i) },
  })

type Step = "email" | "failures" | "attempt" | "token" | "rotate" | "revoke" | "id"

/**
 * Four sign-ins, one of which fails (by e-mail, count, attempt, and a token for the three others),
 * two refreshes of sessions, one logout, and two look-ups of the signed-in user: a fifth each are
 * look-ups by e-mail, counts and attempts.
 */
const steps: ReadonlyArray<Step> = [
  ...["email", "failures", "attempt", "token", "rotate"] as const,
  ...["email", "failures", "attempt", "token", "id"] as const,
  ...["email", "failures", "attempt", "token", "rotate"] as const,
  ...["email", "failures", "attempt", "revoke", "id"] as const,
]

const mix = (context: Context) => {
  const requests: Record<Step, (i: number) => Request> = {
    email: userByEmail(context),
    failures: recentFailures(context),
    attempt: createAttempt(context),
    token: createToken(context),
    rotate: rotate(context),
    revoke: revoke(context),
    id: userById(context),
  }
  // Prepared tokens are used in order, so the n-th user of one must know that it is the n-th.
  const usesToken = steps.map((step) => step === "rotate" || step === "revoke")
  const perRound = usesToken.filter(Boolean).length
  const before = steps.map((_, k) => usesToken.slice(0, k).filter(Boolean).length)
  return (i: number) => {
    const k = i % steps.length
    const n = usesToken[k] ? Math.floor(i / steps.length) * perRound + before[k]! : i
    const request = requests[steps[k]!](n)
    // A rotation's new hash is made of its own number, which a creation may have had.
    return steps[k] === "rotate"
      ? { ...request, body: { ...request.body, ...newToken(context.run, i) } }
      : request
  }
}

export const operations: ReadonlyArray<Operation> = [
  { name: "user by id", kind: "read", status: 200, requests: userById },
  { name: "user by email", kind: "read", status: 200, requests: userByEmail },
  { name: "valid token", kind: "read", status: 200, requests: validToken },
  { name: "session check with user", kind: "read", status: 200, requests: withUser(validToken) },
  { name: "recent failures", kind: "read", status: 200, requests: recentFailures },
  { name: "create user", kind: "write", status: 201, requests: createUser },
  { name: "create attempt", kind: "write", status: 201, requests: createAttempt },
  { name: "create token", kind: "write", status: 201, requests: createToken },
  { name: "revoke", kind: "write", status: 200, usesUp: aToken, requests: revoke },
  { name: "rotate", kind: "write", status: 201, usesUp: aToken, requests: rotate },
  {
    name: "refresh with user",
    kind: "write",
    status: 201,
    usesUp: aToken,
    requests: withUser(rotate),
  },
  {
    name: "password change",
    kind: "write",
    status: 200,
    usesUp: anAccount,
    requests: changePassword,
  },
  {
    name: "login",
    kind: "write",
    status: 201,
    isLimited: true,
    requests: beginLogin,
    followUp: { status: 200, requests: completeLogin },
  },
  {
    name: "login mix",
    kind: "mix",
    status: 0,
    usesUp: { what: "tokens", perRequest: 3 / 20 },
    requests: mix,
  },
]

/** The mix has no status of its own: each of its requests is one of another operation. */
export const single = operations.filter(({ kind }) => kind !== "mix")
