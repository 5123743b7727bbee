/**
 * Valid inputs that differ from each other; tests name only what they are about.
 */
import { DateTime, Redacted, Schema } from "effect"
import { Email } from "../../src/domain/Email.ts"
import { IpAddress } from "../../src/domain/IpAddress.ts"
import { AttemptToBegin, LoginAttempt, LoginAttemptId } from "../../src/domain/LoginAttempt.ts"
import {
  NewRefreshToken,
  RefreshTokenId,
  Successor,
  TokenHash,
} from "../../src/domain/RefreshToken.ts"
import { GoogleId, User, UserId } from "../../src/domain/User.ts"

const unique = () => crypto.randomUUID().replaceAll("-", "")

export const aUserId = () => UserId.make(crypto.randomUUID())
export const aTokenId = () => RefreshTokenId.make(crypto.randomUUID())
export const anAttemptId = () => LoginAttemptId.make(crypto.randomUUID())
export const anEmail = () => Email.make(`user-${unique()}@example.com`)
export const aGoogleId = () => GoogleId.make(`google-${unique()}`)
export const aPasswordHash = (hash = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA") =>
  Redacted.make(hash, { label: "passwordHash" })
export const aTokenHash = () => TokenHash.make(`hash-${unique()}`)
export const anIpAddress = (address = "192.0.2.1") => Schema.decodeSync(IpAddress)(address)
export const inOneDay = () => DateTime.add(DateTime.nowUnsafe(), { days: 1 })
export const oneDayAgo = () => DateTime.subtract(DateTime.nowUnsafe(), { days: 1 })

type NewUser = typeof User.insert.Type
type NewAttempt = typeof LoginAttempt.insert.Type

export const aUser = (overrides: Partial<NewUser> = {}): NewUser =>
  User.insert.make({
    email: anEmail(),
    authProvider: "email",
    passwordHash: aPasswordHash(),
    ...overrides,
  })

export const aGoogleUser = (overrides: Partial<NewUser> = {}): NewUser =>
  User.insert.make({
    email: anEmail(),
    authProvider: "google",
    googleId: aGoogleId(),
    ...overrides,
  })

export const aToken = (userId: UserId, overrides: Partial<NewRefreshToken> = {}): NewRefreshToken =>
  NewRefreshToken.make({
    userId,
    tokenHash: aTokenHash(),
    expiresAt: inOneDay(),
    ...overrides,
  })

export const aSuccessor = (overrides: Partial<Successor> = {}): Successor =>
  Successor.make({ tokenHash: aTokenHash(), expiresAt: inOneDay(), ...overrides })

export const anAttemptToBegin = (overrides: Partial<AttemptToBegin> = {}): AttemptToBegin =>
  AttemptToBegin.make({ email: anEmail(), ipAddress: anIpAddress(), ...overrides })

export const anAttempt = (overrides: Partial<NewAttempt> = {}): NewAttempt =>
  LoginAttempt.insert.make({
    email: anEmail(),
    ipAddress: anIpAddress(),
    success: false,
    ...overrides,
  })
