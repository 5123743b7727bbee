/**
 * The model's values as the repositories take them, and their rows as the model has them.
 */
import { DateTime, Redacted, Schema } from "effect"
import { Email } from "../../src/domain/Email.ts"
import { IpAddress } from "../../src/domain/IpAddress.ts"
import { LoginAttempt } from "../../src/domain/LoginAttempt.ts"
import { type Page, Place } from "../../src/domain/Page.ts"
import {
  NewRefreshToken,
  type RefreshToken,
  RefreshTokenId,
  TokenHash,
} from "../../src/domain/RefreshToken.ts"
import { RevocationReason, type Session, SessionId } from "../../src/domain/Session.ts"
import { GoogleId, User, UserId, Version } from "../../src/domain/User.ts"
import type { TokenWithUser } from "../../src/repositories/refreshTokens/tokenWithUser.ts"
import { aPasswordHash } from "../support/factories.ts"
import { fromDateTime, fromNullable, toDateTime, toNullable } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import type { Call } from "./Tables.ts"
import type { NewAttempt, NewSuccessor, NewUser } from "./values.ts"

export const userJson = ({ updatedAt: _, ...user }: User) => ({
  ...user,
  passwordHash: user.passwordHash === null ? null : Redacted.value(user.passwordHash),
  createdAt: DateTime.formatIso(user.createdAt),
  emailVerifiedAt: fromNullable(user.emailVerifiedAt),
})

export const tokenJson = (token: RefreshToken) => ({
  ...token,
  expiresAt: fromDateTime(token.expiresAt),
  createdAt: DateTime.formatIso(token.createdAt),
  revokedAt: fromNullable(token.revokedAt),
  signedInAt: DateTime.formatIso(token.signedInAt),
  sessionExpiresAt: fromNullable(token.sessionExpiresAt),
})

export const tokenWithUserJson = ({ token, user }: TokenWithUser) => ({
  token: tokenJson(token),
  user: userJson(user),
})

export const sessionJson = (session: Session) => ({
  ...session,
  signedInAt: DateTime.formatIso(session.signedInAt),
  refreshedAt: DateTime.formatIso(session.refreshedAt),
  expiresAt: fromDateTime(session.expiresAt),
  sessionExpiresAt: fromNullable(session.sessionExpiresAt),
})

export const attemptJson = ({ userAgent: _, failureReason: __, ...attempt }: LoginAttempt) => ({
  ...attempt,
  attemptedAt: fromDateTime(attempt.attemptedAt),
})

export const pageJson = <A>({ items, next }: Page<A>, toJson: (item: A) => unknown) => ({
  items: items.map(toJson),
  next: next === null ? null : { createdAt: DateTime.formatIso(next.createdAt), id: next.id },
})

export const toPlace = ({ after }: Call) =>
  after === null ? undefined : new Place({
    createdAt: DateTime.makeUnsafe(after.createdAt),
    id: after.id,
  })

export const toPrecondition = ({ ifVersion }: Call) =>
  ifVersion === undefined ? {} : { ifVersion: ifVersion.map((version) => Version.make(version)) }

export const toUser = (user: NewUser) =>
  User.insert.make({
    ...user,
    email: Email.make(user.email),
    passwordHash: user.passwordHash === null ? null : aPasswordHash(user.passwordHash),
    googleId: user.googleId === null ? null : GoogleId.make(user.googleId),
    emailVerifiedAt: toNullable(user.emailVerifiedAt),
  })

export const toChanges = (
  { email, passwordHash, googleId, emailVerifiedAt, ...others }: Partial<NewUser>,
) =>
  User.update.make({
    ...others,
    ...(email === undefined ? {} : { email: Email.make(email) }),
    ...(passwordHash === undefined
      ? {}
      : { passwordHash: passwordHash === null ? null : aPasswordHash(passwordHash) }),
    ...(googleId === undefined
      ? {}
      : { googleId: googleId === null ? null : GoogleId.make(googleId) }),
    ...(emailVerifiedAt === undefined ? {} : { emailVerifiedAt: toNullable(emailVerifiedAt) }),
  })

export const toReason = (reason: string | null) =>
  reason === null ? {} : { reason: RevocationReason.make(reason) }

/** The session that goes on. */
export const toException = ({ sessionId }: Call) =>
  sessionId === null ? {} : { exceptSessionId: SessionId.make(sessionId) }

export const toAddress = Schema.decodeSync(IpAddress)

export const toAttempt = ({ userId, email, ipAddress, success }: NewAttempt) =>
  LoginAttempt.insert.make({
    userId: userId === null ? null : UserId.make(userId),
    email: Email.make(email),
    ipAddress: toAddress(ipAddress),
    success,
  })

export const toSuccessor = ({ tokenHash, expiresAt, userAgent, ipAddress }: NewSuccessor) => ({
  tokenHash: TokenHash.make(tokenHash),
  expiresAt: toDateTime(expiresAt),
  userAgent,
  ipAddress: ipAddress === null ? null : toAddress(ipAddress),
})

export const toToken = (
  { token, sessionLimit }: Extract<Operation, { readonly _tag: "CreateToken" }>,
  { userVersion }: Call,
) =>
  NewRefreshToken.make({
    ...toSuccessor(token),
    userId: UserId.make(token.userId),
    sessionExpiresAt: toNullable(token.sessionExpiresAt),
    userVersion: userVersion === null ? null : Version.make(userVersion),
    ...sessionLimit,
  })

export const toTokenKey = (key: string | null) =>
  key === null ? {} : { idempotencyKey: RefreshTokenId.make(key) }
