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
export const email = oneOf<string>(
  "ada@example.com",
  "bob@example.com",
  "Ada@Example.com",
  "cy@example.com",
)
export const googleId = oneOf<string>("g", "G")
export const tokenHash = oneOf<string>("h1", "h2", "H1", "h3", "h4")
export const ipAddress = oneOf<string>("192.0.2.1", "2001:db8::1")
export const flag = oneOf(true, false)
export const limit = oneOf(100, 1, 2, 3)

export const newUser = Arbitrary.all({
  email,
  fullName: oneOf<string | null>(null, "Ada", "Bob"),
  passwordHash: oneOf<string | null>("hash 1", "hash 2", "hash 2", null),
  authProvider: oneOf("email", "email", "google"),
  googleId: oneOf<string | null>(null, "g", "G", "other"),
  isActive: flag,
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
      ),
      { maxLength: 3 },
    ),
  ]),
  ([user, names]): Partial<NewUser> => Object.fromEntries(names.map((name) => [name, user[name]])),
)

/** Which version a change asks for; `former` is every version of the past. */
export const ifVersion = oneOf("any", "current", "former", "current or former")
export type IfVersion = Of<typeof ifVersion>

export const successor = Arbitrary.all({
  tokenHash,
  expiresAt: oneOf<Instant>("in a year", "in a year", "an hour ago"),
  ipAddress: oneOf<string | null>(null, "192.0.2.1"),
})
export type NewSuccessor = Of<typeof successor>

export const newToken = Arbitrary.map(
  Arbitrary.all([id, successor]),
  ([userId, token]) => ({ userId, ...token }),
)
export type NewToken = Of<typeof newToken>

export const newAttempt = Arbitrary.all({
  userId: anyOf<string | null>(id, oneOf(null)),
  email,
  ipAddress,
  success: oneOf(false, false, true),
})
export type NewAttempt = Of<typeof newAttempt>

export const minutes = oneOf(null, 30, 43_200)
