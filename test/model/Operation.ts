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
  successor,
  tokenHash,
} from "./values.ts"

const tag = Arbitrary.Constant

const createUser = Arbitrary.all({ _tag: tag("CreateUser"), key, user: newUser })
const updateUser = Arbitrary.all({ _tag: tag("UpdateUser"), id, changes, ifVersion })
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

const createToken = Arbitrary.all({ _tag: tag("CreateToken"), key, token: newToken })
const getToken = Arbitrary.all({ _tag: tag("GetToken"), tokenHash })
const getValidToken = Arbitrary.all({ _tag: tag("GetValidToken"), tokenHash })
const revoke = Arbitrary.all({ _tag: tag("Revoke"), tokenHash })
const rotate = Arbitrary.all({ _tag: tag("Rotate"), tokenHash, successor, key })
const revokeAll = Arbitrary.all({
  _tag: tag("RevokeAll"),
  userId: id,
  except: anyOf<string | null>(oneOf(null), tokenHash),
})
const listTokens = Arbitrary.all({
  _tag: tag("ListTokens"),
  userId: id,
  active: oneOf(null, true, false),
  limit,
  isContinued: flag,
})
const expireToken = Arbitrary.all({
  _tag: tag("ExpireToken"),
  tokenHash,
  expiresAt: oneOf<Instant>("an hour ago", "10 days ago"),
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
  deleteUser,
  getUser,
  getUserByEmail,
  getUserByGoogleId,
  listUsers,
  writeUserByHand,
  createToken,
  getToken,
  getValidToken,
  revoke,
  rotate,
  revokeAll,
  listTokens,
  expireToken,
  alignTokens,
  deleteExpired,
  createAttempt,
  countByUser,
  countByOrigin,
  ageAttempts,
  deleteOld,
] as const

export type Operation = Of<typeof operations[number]>

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
    },
  },
  {
    _tag: "CreateToken",
    key: null,
    token: { userId: ids[0], tokenHash: "h1", expiresAt: "in a year", ipAddress: null },
  },
  {
    _tag: "CreateToken",
    key: null,
    token: { userId: ids[1], tokenHash: "h2", expiresAt: "in a year", ipAddress: null },
  },
]

/** Tokens and changes come more often, deletions and clean-ups once in a while. */
const anyOperation = anyOf<Operation>(
  ...operations,
  ...[createUser, updateUser, updateUser, updateUser, listUsers, writeUserByHand],
  ...[createToken, createToken, createToken, createToken, createToken, getToken, getValidToken],
  ...[rotate, rotate, rotate, rotate, rotate, rotate, revoke, revokeAll, listTokens, listTokens],
  ...[expireToken, createAttempt, createAttempt, createAttempt, countByUser, countByOrigin],
)

/** Operations of which some are done again, as by a client that has lost the answer. */
const withRetries = (operation: Arbitrary.Arbitrary<Operation>, options: Arbitrary.ArrayOptions) =>
  Arbitrary.map(
    Arbitrary.array(Arbitrary.all([operation, oneOf(0, 0, 0, 1, 2)]), options),
    (steps) => steps.map(([operation, back], index) => steps[index - back]?.[0] ?? operation),
  )

export const anySequence = (maxLength: number) => withRetries(anyOperation, { maxLength })

/**
 * Operations whose answers have to be those of some order when they run at once. The clean-ups are
 * not among them: they leave rows that somebody else holds for the next time.
 */
const concurrentOperation = anyOf<Operation>(
  createUser,
  updateUser,
  updateUser,
  deleteUser,
  getUser,
  getUserByEmail,
  listUsers,
  writeUserByHand,
  createToken,
  createToken,
  getToken,
  getValidToken,
  revoke,
  rotate,
  rotate,
  rotate,
  revokeAll,
  revokeAll,
  listTokens,
  createAttempt,
  countByUser,
  countByOrigin,
)

export const concurrentSequence = withRetries(concurrentOperation, { minLength: 1, maxLength: 4 })
