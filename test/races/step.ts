/**
 * What each operation answers and leaves behind when it is alone: the contract (6.1, 6.2 and 6.8) as pure
 * functions.
 */
import {
  type Account,
  describeAccount,
  isLive,
  live,
  revoked,
  rotatedTo,
  type Token,
  type TokenName,
  type World,
} from "./World.ts"

export const operations = [
  "create",
  "capped",
  "rotate",
  "grace",
  "reuse",
  "revoke",
  "revokeSession",
  "revokeAll",
  "deactivate",
  "psql",
  "delete",
  "password",
  "versioned",
  "google",
  "complete",
] as const
export type Operation = typeof operations[number]

/** One operation of a pair. */
export interface Call {
  readonly operation: Operation
  readonly index: 1 | 2
  /** What a rotation takes. */
  readonly current: TokenName
  /** What a revocation takes: the token itself, or one that it was rotated from. */
  readonly revokes: TokenName
  /** What `password` sets. */
  readonly passwordHash: string
  /** What `google` comes with. */
  readonly googleId: string
}

export interface Step {
  /** A tag, and what callers go by. */
  readonly answer: string
  readonly world: World
}

export const maxSessions = 2

const added = ({ index }: Call): TokenName => index === 1 ? "by 1" : "by 2"

const setStatus = (
  world: World,
  status: string,
  applies: (token: Token) => boolean,
): World => ({
  ...world,
  tokens: world.tokens.map((token) => applies(token) ? { ...token, status } : token),
})

const revokeLive = (
  world: World,
  reason: string,
  applies: (token: Token) => boolean = () => true,
) => setStatus(world, revoked(reason), (token) => isLive(token) && applies(token))

const liveOf = ({ tokens }: World, session: string) =>
  tokens.filter((token) => token.session === session && isLive(token))

const sessionState = (world: World, { session }: Token) =>
  liveOf(world, session).length > 0 ? "of a live session" : "of an ended session"

const beginSession = (world: World, call: Call): World => {
  const name = added(call)
  const token: Token = { name, session: name, status: live, siblings: [] }
  return { ...world, tokens: [...world.tokens, token] }
}

const create = (world: World, call: Call, isInVersion = true): Step => {
  if (world.account === null) return { world, answer: "UserNotFound" }
  if (!world.account.isActive) return { world, answer: "UserInactive" }
  if (!isInVersion) return { world, answer: "VersionMismatch" }
  const created = beginSession(world, call)
  if (call.operation !== "capped") return { world: created, answer: "created" }
  const sessions = [...new Set(created.tokens.map(({ session }) => session))]
    .filter((session) => liveOf(created, session).length > 0)
  const excess = sessions.slice(0, Math.max(0, sessions.length - maxSessions))
  return {
    world: revokeLive(created, "session-limit", ({ session }) => excess.includes(session)),
    answer: "created",
  }
}

/** A token for the user as read before, and the attempt's success: both or none. */
const complete = (world: World, call: Call, isInVersion: boolean): Step => {
  if (world.attempt !== "pending") return { world, answer: "AttemptCompleted" }
  const created = create(world, call, isInVersion)
  return created.answer === "created"
    ? { ...created, world: { ...created.world, attempt: "succeeded" } }
    : created
}

/** The first successor of a token in grace, if it is. */
const firstInGrace = ({ tokens }: World, { status }: Token) => {
  const first = tokens.find(({ name }) => status === rotatedTo(name))
  const siblings = tokens.filter(({ name }) => first?.siblings.includes(name))
  return first !== undefined && isLive(first) &&
      siblings.every((token) => !token.status.startsWith("rotated"))
    ? first
    : undefined
}

const addSuccessor = (world: World, call: Call, { session }: Token): World => ({
  ...world,
  tokens: [...world.tokens, { name: added(call), session, status: live, siblings: [] }],
})

const refuseRotation = (world: World, call: Call, token: Token): Step => {
  const state = sessionState(world, token)
  if (!token.status.startsWith("rotated")) return { world, answer: `RefreshTokenRevoked ${state}` }
  return {
    answer: `RefreshTokenReused ${state}`,
    world: call.operation === "reuse"
      ? revokeLive(world, "reuse-detected", ({ session }) => session === token.session)
      : world,
  }
}

const rotate = (world: World, call: Call): Step => {
  const asked = call.operation === "rotate" ? call.current : "first"
  const token = world.tokens.find(({ name }) => name === asked)
  if (token === undefined) return { world, answer: "RefreshTokenNotFound" }
  if (!world.account?.isActive) {
    return { world, answer: `UserInactive ${sessionState(world, token)}` }
  }
  if (isLive(token)) {
    const spent = setStatus(world, rotatedTo(added(call)), ({ name }) => name === asked)
    return { world: addSuccessor(spent, call, token), answer: "rotated" }
  }
  const first = call.operation === "grace" ? firstInGrace(world, token) : undefined
  if (first === undefined) return refuseRotation(world, call, token)
  const extended = world.tokens.map((other) =>
    other === first ? { ...first, siblings: [...first.siblings, added(call)] } : other
  )
  return { world: addSuccessor({ ...world, tokens: extended }, call, token), answer: "rotated" }
}

const revoke = (world: World, { revokes }: Call): Step => {
  const token = world.tokens.find(({ name }) => name === revokes)
  if (token === undefined) return { world, answer: "RefreshTokenNotFound" }
  const ended = revokeLive(world, "logout", ({ session }) => session === token.session)
  const { status } = ended.tokens.find(({ name }) => name === revokes) ?? token
  return { world: ended, answer: `token is ${status}` }
}

const revokeCounted = (world: World, reason: string, sessions: ReadonlyArray<string>): Step => {
  if (world.account === null) return { world, answer: "UserNotFound" }
  const ending = world.tokens.filter((token) => isLive(token) && sessions.includes(token.session))
  return {
    world: revokeLive(world, reason, ({ session }) => sessions.includes(session)),
    answer: `${ending.length} revoked`,
  }
}

const change = (world: World, changes: Partial<Account>, reason?: string): Step => {
  if (world.account === null) return { world, answer: "UserNotFound" }
  const account = { ...world.account, ...changes }
  const changed = { ...world, account }
  return {
    world: reason === undefined ? changed : revokeLive(changed, reason),
    answer: describeAccount(account),
  }
}

const deactivate = (world: World): Step =>
  change(world, { isActive: false }, world.account?.isActive ? "user-deactivated" : undefined)

const google = (world: World, { googleId }: Call): Step => {
  const linked = { googleId, authProvider: "google", passwordHash: null, isVerified: true }
  const { account } = world
  if (account === null) {
    return { world: { ...world, heir: { ...linked, isActive: true } }, answer: "new" }
  }
  if (account.googleId === googleId) return { world, answer: describeAccount(account) }
  if (account.googleId !== null) return { world, answer: "EmailTaken" }
  if (!account.isActive) return { world, answer: "UserInactive" }
  return change(world, linked, "credentials-changed")
}

const steps: Readonly<Record<Operation, (world: World, call: Call, isInVersion: boolean) => Step>> =
  {
    create: (world, call) => create(world, call),
    capped: (world, call) => create(world, call),
    versioned: create,
    rotate,
    grace: rotate,
    reuse: rotate,
    revoke,
    revokeSession: (world, { revokes }) => {
      const sessions = world.tokens.filter(({ name }) => name === revokes)
      return revokeCounted(world, "logout", sessions.map(({ session }) => session))
    },
    revokeAll: (world) =>
      revokeCounted(world, "logout-all", world.tokens.map(({ session }) => session)),
    deactivate,
    psql: (world) =>
      world.account === null
        ? { world, answer: "0 updated" }
        : { ...deactivate(world), answer: "1 updated" },
    delete: (world) =>
      world.account === null
        ? { world, answer: "UserNotFound" }
        : { world: { ...world, account: null, tokens: [] }, answer: "deleted" },
    password: (world, { passwordHash }) => change(world, { passwordHash }, "credentials-changed"),
    google,
    complete,
  }

/** Carries one operation of a pair out, in a world that was `read` before the pair started. */
export const step = (world: World, call: Call, read: World): Step =>
  steps[call.operation](world, call, world.account === read.account)
