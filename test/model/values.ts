/**
 * Values that operations are made of, from pools so small that operations meet.
 */
import { Arbitrary } from "effect"
import { anyOf, oneOf } from "../support/arbitraries.ts"
import type { Instant } from "./Instant.ts"

export type Of<A> = A extends Arbitrary.Arbitrary<infer T> ? T : never

/** Ids of users, and the idempotency keys of all kinds of rows. */
export const ids = [
  "00000000-0000-4000-8000-000000000001",
  "00000000-0000-4000-8000-000000000002",
  "ffffffff-ffff-4fff-bfff-ffffffffffff",
] as const
export const id = oneOf<string>(ids[0], ids[0], ids[1], ids[1], ids[2])
export const key = anyOf(id, oneOf<string | null>(null))
/** Most tokens have none, or most of them would be taken for another one. */
export const tokenKey = anyOf<string | null>(oneOf(null), oneOf(null), oneOf(null), id)
export const email = oneOf<string>(
  "ada@example.com",
  "bob@example.com",
  "Ada@Example.com",
  "cy@example.com",
)
export const googleId = oneOf<string>("g", "G", "other")

/** What tokens are called whose hashes callers find out; see `toHash`. */
export type TokenName =
  | "(live)"
  | "(newest)"
  | "(rotated)"
  | "(its successor)"
  | "(before it)"
  | "(unused)"
export const tokenHash = oneOf<string | TokenName>(
  ...["h1", "(live)", "(rotated)", "(newest)", "h2", "H1", "h3"] as const,
  ...["(before it)", "(its successor)", "(newest)", "(rotated)", "(rotated)", "(live)"] as const,
  ...["(live)", "(live)"] as const,
)
const newHash = oneOf<string | TokenName>(
  ...["(unused)", "(unused)", "h1", "h2", "H1", "h3", "h4", "h5", "h6", "(unused)"] as const,
)
/** Of a token that another one was rotated to. */
export const successorHash = oneOf<string | TokenName>("(its successor)", "(newest)")

export const ipAddress = oneOf<string>("192.0.2.1", "2001:db8::1")
export const flag = oneOf(true, false)
export const limit = oneOf(100, 1, 2, 3)
export const reason = oneOf<string | null>(null, "logout", "stolen")

const fullName = oneOf<string | null>(null, "Ada", "Bob")

export const newUser = Arbitrary.all({
  email,
  fullName,
  passwordHash: oneOf<string | null>("hash 1", "hash 2", "hash 2", null),
  authProvider: oneOf("email", "email", "google"),
  googleId: oneOf<string | null>(null, "g", "G", "other"),
  isActive: oneOf(true, true, true, false),
  emailVerifiedAt: oneOf<Instant | null>(null, "an hour ago"),
})
export type NewUser = Of<typeof newUser>

/** Some of the properties of a user. */
export const changes = Arbitrary.map(
  Arbitrary.all([
    newUser,
    Arbitrary.array(
      oneOf<keyof NewUser>(
        "email",
        "fullName",
        "passwordHash",
        "authProvider",
        "googleId",
        "isActive",
        "emailVerifiedAt",
      ),
      { maxLength: 3 },
    ),
  ]),
  ([user, names]): Partial<NewUser> => Object.fromEntries(names.map((name) => [name, user[name]])),
)

/** What Google says of somebody. */
export const googleAccount = Arbitrary.all({
  email,
  emailVerified: oneOf(true, true, false),
  fullName,
  onEmailTaken: oneOf("refuse", "link", "link"),
})
export type GoogleAccount = Of<typeof googleAccount>

/** Which version a change asks for; `former` is every version of the past. */
export const ifVersion = oneOf("any", "current", "former", "current or former")
export type IfVersion = Of<typeof ifVersion>

/** The version that a session begins on condition of. */
export const userVersion = oneOf("any", "any", "any", "current", "former")
export type UserVersion = Of<typeof userVersion>

export const successor = Arbitrary.all({
  tokenHash: newHash,
  expiresAt: oneOf<Instant>("in a year", "in a year", "in a month", "an hour ago"),
  userAgent: oneOf<string | null>(null, "curl", "Firefox"),
  ipAddress: oneOf<string | null>(null, "192.0.2.1"),
})
export type NewSuccessor = Of<typeof successor>

export const newToken = Arbitrary.map(
  Arbitrary.all([
    id,
    successor,
    oneOf<Instant | null>(null, null, null, "in a year", "in a month", "in a month", "an hour ago"),
  ]),
  ([userId, token, sessionExpiresAt]) => ({ userId, ...token, sessionExpiresAt }),
)
export type NewToken = Of<typeof newToken>

/** To how many live sessions a user is held, if to any. */
export const sessionLimit = anyOf<
  { readonly maxSessions: number; readonly onLimit: "revoke-oldest" | "refuse" | null } | null
>(
  oneOf(null),
  oneOf(null),
  Arbitrary.all({
    maxSessions: oneOf(1, 2),
    onLimit: oneOf(null, "revoke-oldest", "refuse"),
  }),
)

export const rotateOptions = Arbitrary.all({
  graceSeconds: oneOf(null, 0, 60, 60, 60),
  onReuse: oneOf(null, "report", "revoke-session"),
})
export type RotateOptions = Of<typeof rotateOptions>

export const newAttempt = Arbitrary.all({
  userId: anyOf<string | null>(id, oneOf(null)),
  email,
  ipAddress,
  success: oneOf(false, false, true),
})
export type NewAttempt = Of<typeof newAttempt>

export const minutes = oneOf(null, 30, 43_200)
