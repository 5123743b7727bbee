/**
 * Sessions: what a created refresh token begins and what its rotations continue; and why they end.
 */
import { Schema } from "effect"
import { nullable } from "../schema/nullable.ts"
import { StoredIpAddress } from "./IpAddress.ts"
import { StoredTimestamp, Timestamp } from "./Timestamp.ts"
import { StoredUserId } from "./User.ts"
import { StoredUuid, Uuid } from "./Uuid.ts"

/** The id of the session's first token, also once that token's row is gone. */
export const SessionId = Uuid.pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

export const StoredSessionId = StoredUuid.pipe(Schema.brand("SessionId"))

/** Reasons that only latchkey gives. */
const ownReasons: ReadonlySet<string> = new Set([
  "rotated",
  "reuse-detected",
  "user-deactivated",
  "session-limit",
])

/** Why a caller revokes: a slug of the caller's choice, other than those that latchkey gives. */
export const RevocationReason = Schema.String.check(
  Schema.isPattern(/^[a-z][a-z0-9-]{0,63}$/u, {
    expected: "a slug: a to z, 0 to 9 and hyphens, at most 64 characters, beginning with a letter",
  }),
  Schema.makeFilter<string>((reason) => !ownReasons.has(reason), {
    expected: `a reason other than ${[...ownReasons].join(", ")}`,
  }),
).pipe(Schema.brand("RevocationReason"))
export type RevocationReason = typeof RevocationReason.Type

/** What callers mean who give no reason. */
export const logout = RevocationReason.make("logout")
export const logoutAll = RevocationReason.make("logout-all")
export const credentialsChanged = RevocationReason.make("credentials-changed")

/** A session with at least one live token, as its newest live token has it. */
export class Session extends Schema.Class<Session>("Session")({
  id: StoredSessionId,
  userId: StoredUserId,
  /** When its first token was created. */
  signedInAt: StoredTimestamp,
  /** When its newest live token was created. */
  refreshedAt: StoredTimestamp,
  /** The latest expiry of its live tokens. */
  expiresAt: StoredTimestamp,
  /** Its absolute end; null for none. */
  sessionExpiresAt: nullable(StoredTimestamp),
  userAgent: nullable(Schema.String),
  ipAddress: nullable(StoredIpAddress),
}) {}

/** A session as clients see it. */
export const SessionJson = Schema.Struct({
  ...Session.fields,
  signedInAt: Timestamp,
  refreshedAt: Timestamp,
  expiresAt: Timestamp,
  sessionExpiresAt: nullable(Timestamp),
})

/** Whose token an error is about, and whether its session was live before the call. */
export const sessionState = {
  userId: StoredUserId,
  sessionId: StoredSessionId,
  sessionIsLive: Schema.Boolean,
}
export type SessionState = Schema.Struct<typeof sessionState>["Type"]

/** The user is not active, and so can have no live token. A rotation tells of the token's session. */
export class UserInactive extends Schema.TaggedError<UserInactive>()("UserInactive", {
  session: Schema.optionalKey(Schema.Struct(sessionState)),
}) {
  override readonly message = "The user is not active"
}

/** No stored token of the user belongs to this session. */
export class SessionNotFound extends Schema.TaggedError<SessionNotFound>()("SessionNotFound", {}) {
  override readonly message = "The user has no such session"
}

/** The user has as many live sessions as the caller allows. */
export class SessionLimitReached
  extends Schema.TaggedError<SessionLimitReached>()("SessionLimitReached", {}) {
  override readonly message = "The user has as many live sessions as maxSessions allows"
}
