/**
 * What can be done to the three tables: every method of the repositories, and what an operator or
 * the passing of time does.
 */
import { Arbitrary } from "effect"
import { anyOf, oneOf } from "../support/arbitraries.ts"
import type { Instant } from "./Instant.ts"
import {
  changes,
  email,
  flag,
  googleAccount,
  googleId,
  id,
  ids,
  ifVersion,
  ipAddress,
  key,
  limit,
  minutes,
  newAttempt,
  newToken,
  newUser,
  type Of,
  reason,
  rotateOptions,
  sessionLimit,
  successor,
  successorHash,
  tokenHash,
  tokenKey,
  userVersion,
} from "./values.ts"

const tag = Arbitrary.Constant

/** A session by a token of it, or none. */
const exceptSessionOf = anyOf<string | null>(oneOf(null), tokenHash)

const createUser = Arbitrary.all({ _tag: tag("CreateUser"), key, user: newUser })
const updateUser = Arbitrary.all({
  _tag: tag("UpdateUser"),
  id,
  changes,
  ifVersion,
  revokeSessions: anyOf<
    { readonly reason: string | null; readonly exceptSessionOf: string | null } | null
  >(
    oneOf(null),
    oneOf(null),
    Arbitrary.all({ reason, exceptSessionOf }),
  ),
})
const getOrCreateByGoogleId = Arbitrary.all({
  _tag: tag("GetOrCreateByGoogleId"),
  googleId,
  account: googleAccount,
})
const deleteUser = Arbitrary.all({ _tag: tag("DeleteUser"), id, ifVersion })
const getUser = Arbitrary.all({ _tag: tag("GetUser"), id })
const getUserByEmail = Arbitrary.all({ _tag: tag("GetUserByEmail"), email })
const getUserByGoogleId = Arbitrary.all({ _tag: tag("GetUserByGoogleId"), googleId })
const listUsers = Arbitrary.all({ _tag: tag("ListUsers"), limit, isContinued: flag })
/** With psql: the version changes all the same, and rows come to share an instant of creation. */
const writeUserByHand = Arbitrary.all({
  _tag: tag("WriteUserByHand"),
  id,
  fullName: oneOf("Ada", "by hand"),
})
const setActiveByHand = Arbitrary.all({ _tag: tag("SetActiveByHand"), id, isActive: flag })

const createToken = Arbitrary.all({
  _tag: tag("CreateToken"),
  key: tokenKey,
  token: newToken,
  userVersion,
  sessionLimit,
})
const getToken = Arbitrary.all({ _tag: tag("GetToken"), tokenHash })
const getValidToken = Arbitrary.all({ _tag: tag("GetValidToken"), tokenHash, withUser: flag })
const revoke = Arbitrary.all({ _tag: tag("Revoke"), tokenHash, reason })
const rotate = Arbitrary.all({
  _tag: tag("Rotate"),
  tokenHash,
  successor,
  key: tokenKey,
  options: rotateOptions,
  withUser: oneOf(false, false, true),
})
const revokeAll = Arbitrary.all({
  _tag: tag("RevokeAll"),
  userId: id,
  except: anyOf<string | null>(oneOf(null), tokenHash),
  exceptSessionOf,
  reason,
})
const revokeSession = Arbitrary.all({
  _tag: tag("RevokeSession"),
  userId: id,
  sessionOf: tokenHash,
  reason,
})
const listTokens = Arbitrary.all({
  _tag: tag("ListTokens"),
  userId: id,
  active: oneOf(null, true, false),
  limit,
  isContinued: flag,
})
const listSessions = Arbitrary.all({
  _tag: tag("ListSessions"),
  userId: id,
  limit,
  isContinued: flag,
})
const expireToken = Arbitrary.all({
  _tag: tag("ExpireToken"),
  tokenHash,
  expiresAt: oneOf<Instant>("an hour ago", "10 days ago"),
})
const ageRevocation = Arbitrary.all({ _tag: tag("AgeRevocation"), tokenHash })
const addSiblings = Arbitrary.all({
  _tag: tag("AddSiblings"),
  tokenHash: successorHash,
  count: oneOf(9, 10),
})
const alignTokens = Arbitrary.all({ _tag: tag("AlignTokens"), userId: id })
const deleteExpired = Arbitrary.all({
  _tag: tag("DeleteExpired"),
  olderThanDays: oneOf(null, 0, 1),
})

const createAttempt = Arbitrary.all({ _tag: tag("CreateAttempt"), key, attempt: newAttempt })
const countByUser = Arbitrary.all({ _tag: tag("CountByUser"), userId: id, minutes })
const countByOrigin = Arbitrary.all({
  _tag: tag("CountByOrigin"),
  origin: anyOf<{ readonly email: string | null; readonly ipAddress: string | null }>(
    Arbitrary.all({ email, ipAddress }),
    Arbitrary.all({ email, ipAddress: tag(null) }),
    Arbitrary.all({ email: tag(null), ipAddress }),
  ),
  minutes,
})
const ageAttempts = Arbitrary.all({
  _tag: tag("AgeAttempts"),
  email,
  attemptedAt: oneOf<Instant>("an hour ago", "100 days ago"),
})
// Not 0: a time that is rounded to milliseconds may still lie in the future when it is looked at.
const deleteOld = Arbitrary.all({ _tag: tag("DeleteOld"), olderThanDays: oneOf(null, 1, 36_500) })

const operations = [
  createUser,
  updateUser,
  getOrCreateByGoogleId,
  deleteUser,
  getUser,
  getUserByEmail,
  getUserByGoogleId,
  listUsers,
  writeUserByHand,
  setActiveByHand,
  createToken,
  getToken,
  getValidToken,
  revoke,
  rotate,
  revokeAll,
  revokeSession,
  listTokens,
  listSessions,
  expireToken,
  ageRevocation,
  addSiblings,
  alignTokens,
  deleteExpired,
  createAttempt,
  countByUser,
  countByOrigin,
  ageAttempts,
  deleteOld,
] as const

export type Operation = Of<typeof operations[number]>

const firstToken = (userId: string, tokenHash: string): Operation => ({
  _tag: "CreateToken",
  key: null,
  token: {
    userId,
    tokenHash,
    expiresAt: "in a year",
    userAgent: "curl",
    ipAddress: null,
    sessionExpiresAt: null,
  },
  userVersion: "any",
  sessionLimit: null,
})

/**
 * An account of each kind and tokens of both, or most of a sequence would be about rows that do not
 * exist.
 */
export const beginning: ReadonlyArray<Operation> = [
  {
    _tag: "CreateUser",
    key: ids[0],
    user: {
      email: "ada@example.com",
      fullName: null,
      passwordHash: "hash 1",
      authProvider: "email",
      googleId: null,
      isActive: true,
      emailVerifiedAt: null,
    },
  },
  {
    _tag: "CreateUser",
    key: ids[1],
    user: {
      email: "bob@example.com",
      fullName: null,
      passwordHash: null,
      authProvider: "google",
      googleId: "g",
      isActive: true,
      emailVerifiedAt: "an hour ago",
    },
  },
  firstToken(ids[0], "h1"),
  firstToken(ids[1], "h2"),
]

/** What sessions live through; `between` prefers both ends of the list. */
const sessionOperations = [
  ...[rotate, rotate, rotate, createToken, revoke, listSessions, setActiveByHand],
  ...[updateUser, getOrCreateByGoogleId, getToken, expireToken, alignTokens, deleteExpired],
  ...[ageRevocation, revokeAll, revokeSession, listTokens, getValidToken],
  ...[addSiblings, addSiblings, createToken, createToken, rotate, rotate, rotate, rotate],
]

/** Tokens and changes come more often, deletions and clean-ups once in a while. */
const anyOperation = anyOf<Operation>(
  ...[createUser, updateUser, updateUser, createToken, createToken, rotate, rotate],
  ...operations,
  ...[updateUser, getOrCreateByGoogleId, getOrCreateByGoogleId, setActiveByHand],
  ...[createToken, createToken, createToken, getToken, getValidToken, revokeSession],
  ...[revoke, revokeAll, listTokens, listTokens, listSessions, listSessions, expireToken],
  ...[listUsers, writeUserByHand, countByUser, countByOrigin, createAttempt, createAttempt],
  ...[createAttempt, rotate, rotate, rotate, rotate, rotate, rotate],
)

/** Operations of which some are done again, as by a client that has lost the answer. */
const withRetries = (operation: Arbitrary.Arbitrary<Operation>, options: Arbitrary.ArrayOptions) =>
  Arbitrary.map(
    Arbitrary.array(Arbitrary.all([operation, oneOf(0, 0, 0, 1, 2)]), options),
    (steps) => steps.map(([operation, back], index) => steps[index - back]?.[0] ?? operation),
  )

const rotationTo = (expiresAt: Instant): Operation => ({
  _tag: "Rotate",
  tokenHash: "h1",
  successor: { tokenHash: "(unused)", expiresAt, userAgent: null, ipAddress: "192.0.2.1" },
  key: null,
  options: { graceSeconds: 60, onReuse: null },
  withUser: false,
})

/** What may come first: nothing, a session with two live tokens, an account that can be linked. */
const openings = oneOf<ReadonlyArray<Operation>>(
  [],
  [rotationTo("in a year"), rotationTo("in a month")],
  [{
    _tag: "UpdateUser",
    id: ids[0],
    changes: { emailVerifiedAt: "an hour ago" },
    ifVersion: "any",
    revokeSessions: null,
  }],
)

/** Operations of all kinds, or mostly of what sessions live through. */
export const anySequence = (maxLength: number) =>
  Arbitrary.map(
    Arbitrary.all([
      openings,
      anyOf(
        withRetries(anyOperation, { maxLength }),
        withRetries(anyOf<Operation>(...sessionOperations, anyOperation), { maxLength }),
      ),
    ]),
    ([opening, operations]) => [...opening, ...operations],
  )

/**
 * Operations whose answers have to be those of some order when they run at once. The clean-ups are
 * not among them: they leave rows that somebody else holds for the next time.
 */
const concurrentOperation = anyOf<Operation>(
  ...[createUser, updateUser, updateUser, createToken, rotate, rotate, revoke],
  ...[getUser, getUserByEmail, getToken, getValidToken, listUsers, listTokens, listSessions],
  ...[createAttempt, countByUser, countByOrigin, writeUserByHand, deleteUser, createToken],
  ...[getOrCreateByGoogleId, getOrCreateByGoogleId, setActiveByHand, revokeAll, revokeSession],
  ...[revoke, rotate, rotate, rotate],
)

const concurrentSessionOperation = anyOf<Operation>(
  ...[rotate, rotate, rotate, revoke, revoke, createToken, createToken],
  ...[listSessions, getValidToken, updateUser, getOrCreateByGoogleId],
  ...[setActiveByHand, revokeAll, revokeSession, rotate, rotate],
)

const anyConcurrentSequence = anyOf(
  ...[concurrentOperation, concurrentSessionOperation].map((operation) =>
    withRetries(operation, { minLength: 1, maxLength: 4 })
  ),
)

/** Begins a session of the first user, which may be one too many. */
const creation = Arbitrary.map(
  Arbitrary.all([createToken, oneOf(null, 2)]),
  ([{ token, ...operation }, maxSessions]): Operation => ({
    ...operation,
    token: { ...token, userId: ids[0], expiresAt: "in a year", sessionExpiresAt: null },
    userVersion: "any",
    sessionLimit: maxSessions === null
      ? null
      : { maxSessions, onLimit: operation.sessionLimit?.onLimit ?? null },
  }),
)
const rotationInGrace = Arbitrary.map(
  rotate,
  (operation): Operation => ({
    ...operation,
    tokenHash: "h1",
    successor: { ...operation.successor, expiresAt: "in a year" },
    key: null,
    options: { ...operation.options, graceSeconds: 60 },
  }),
)
const endOfSuccessor = Arbitrary.map(
  revoke,
  (operation): Operation => ({ ...operation, tokenHash: "(its successor)" }),
)
const deactivation = tag<Operation>({ _tag: "SetActiveByHand", id: ids[0], isActive: false })

/** Mostly of few kinds, so that some are made in groups and all are about the same rows. */
const manyAtOnce = anyOf(
  ...[
    [rotate],
    [revoke],
    [createToken],
    [creation],
    [rotationInGrace, endOfSuccessor],
    [creation, rotationInGrace, deactivation],
  ].map((kinds) =>
    withRetries(anyOf<Operation>(...kinds, ...kinds, concurrentSessionOperation), {
      minLength: 3,
      maxLength: 5,
    })
  ),
)

/**
 * What several clients do at once: two different ones, one whose requests all arrive twice, or many of
 * which each makes one call.
 */
export const concurrentSequences = anyOf<ReadonlyArray<ReadonlyArray<Operation>>>(
  Arbitrary.all([anyConcurrentSequence, anyConcurrentSequence]),
  Arbitrary.map(anyConcurrentSequence, (operations) => [operations, operations]),
  ...[manyAtOnce, manyAtOnce].map((many) =>
    Arbitrary.map(many, (operations) => operations.map((operation) => [operation]))
  ),
)
