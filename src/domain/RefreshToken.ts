/**
 * Refresh tokens, of which only a hash is ever stored, and what can go wrong with them.
 */
import { DateTime, Effect, Schema } from "effect"
import { Model } from "effect/schema"
import { nullable, optionalAsNull } from "../schema/nullable.ts"
import { boundedText } from "../schema/Text.ts"
import { IpAddress, StoredIpAddress } from "./IpAddress.ts"
import { sessionState, StoredSessionId } from "./Session.ts"
import { StoredTimestamp, Timestamp } from "./Timestamp.ts"
import { GivenVersion, StoredUserId, UserId } from "./User.ts"
import { UserAgent } from "./UserAgent.ts"
import { StoredUuid, Uuid } from "./Uuid.ts"

export const RefreshTokenId = Uuid.pipe(Schema.brand("RefreshTokenId"))
export type RefreshTokenId = typeof RefreshTokenId.Type

const StoredRefreshTokenId = StoredUuid.pipe(Schema.brand("RefreshTokenId"))

/** What the auth service made of the token, at most 512 characters; compared byte by byte. */
export const TokenHash = boundedText(512).pipe(Schema.brand("TokenHash"))
export type TokenHash = typeof TokenHash.Type

const StoredTokenHash = Schema.String.pipe(Schema.brand("TokenHash"))

/**
 * A refresh token of a session. It ends by expiring or by being revoked; a rotation revokes it and names
 * its successor.
 */
export class RefreshToken extends Model.Class<RefreshToken>("RefreshToken")({
  id: Model.GeneratedByDb(StoredRefreshTokenId),
  userId: Model.Field({ select: StoredUserId, insert: UserId, json: StoredUserId }),
  tokenHash: Model.Field({ select: StoredTokenHash, insert: TokenHash, json: StoredTokenHash }),
  expiresAt: Model.Field({
    select: StoredTimestamp,
    insert: Timestamp.annotate({ description: "In the future, by the database's clock." }),
    json: Timestamp,
  }),
  createdAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
  revokedAt: Model.Field({
    select: nullable(StoredTimestamp),
    update: nullable(Timestamp),
    json: nullable(Timestamp),
  }),
  userAgent: Model.Field({
    select: nullable(Schema.String),
    insert: optionalAsNull(UserAgent),
    json: nullable(Schema.String),
  }),
  ipAddress: Model.Field({
    select: nullable(StoredIpAddress),
    insert: optionalAsNull(IpAddress),
    json: nullable(StoredIpAddress),
  }),
  /** The session that the token belongs to: the id of its first token. */
  sessionId: Model.Field({ select: StoredSessionId, json: StoredSessionId }),
  /** When the session began: when its first token was created. */
  signedInAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
  /** The session's absolute end, which no token of it outlives; null for none. */
  sessionExpiresAt: Model.Field({
    select: nullable(StoredTimestamp),
    insert: optionalAsNull(Timestamp),
    json: nullable(Timestamp),
  }),
  /** Why the token was revoked; null while it was not, and where the writer gave no reason. */
  revokedReason: Model.Field({
    select: nullable(Schema.String),
    json: nullable(Schema.String),
  }),
  /** The token that replaced this one; null unless it was rotated. */
  successorId: Model.Field({ select: nullable(StoredRefreshTokenId) }),
  /** Whether the token was valid by the database's clock when the row was read. */
  wasValid: Model.Field({ select: Schema.Boolean }),
}) {
  /** Whether the token is valid now, by Effect's `Clock`: not revoked and not expired. */
  get isValid(): Effect.Effect<boolean> {
    return Effect.map(
      DateTime.now,
      (now) => this.revokedAt === null && DateTime.isLessThan(now, this.expiresAt),
    )
  }
}

/** How many live sessions a user may have, the new one included. */
const MaxSessions = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))

/** What becomes of a session too many: the oldest others end, or the new one is refused. */
export const OnSessionLimit = Schema.Literals(["revoke-oldest", "refuse"])
export type OnSessionLimit = typeof OnSessionLimit.Type

/**
 * What begins a session: its first token, and on which conditions. `userVersion` is the version that the
 * caller has read the user in; the session begins only if the user has not changed since.
 */
export const NewRefreshToken = Schema.Struct({
  ...RefreshToken.insert.fields,
  userVersion: optionalAsNull(GivenVersion),
  maxSessions: optionalAsNull(MaxSessions),
  onLimit: optionalAsNull(OnSessionLimit),
}).annotate({
  identifier: "NewRefreshToken",
  description: "A refresh token to store, which begins a session",
}).check(
  Schema.makeFilter(({ maxSessions, onLimit }) =>
    onLimit === null || maxSessions !== null
      ? true
      : { path: ["onLimit"], issue: "Expected maxSessions as well" }
  ),
)
export type NewRefreshToken = typeof NewRefreshToken.Type

/** A token that begins a session on no condition but those that are given. */
export type TokenToCreate = typeof RefreshToken.insert.Type & Partial<NewRefreshToken>

/** What becomes of the session of a token that is used after it was rotated. */
export const OnReuse = Schema.Literals(["report", "revoke-session"])
export type OnReuse = typeof OnReuse.Type

/** For how many seconds a rotated token may be rotated once more. */
export const GraceSeconds = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))

/** What a rotation takes: of a new token what is not the old token's. */
export const Successor = RefreshToken.insert.mapFields((
  { userId: _, sessionExpiresAt: __, ...fields },
) => fields)
export type Successor = typeof Successor.Type

/** No token has this hash. */
export class RefreshTokenNotFound
  extends Schema.TaggedError<RefreshTokenNotFound>()("RefreshTokenNotFound", {}) {
  override readonly message = "There is no such refresh token"
}

/** Another token has this hash. A rotation tells of the session that it was to continue. */
export class TokenHashTaken extends Schema.TaggedError<TokenHashTaken>()("TokenHashTaken", {
  session: Schema.optionalKey(Schema.Struct(sessionState)),
}) {
  override readonly message = "Another refresh token has this hash"
}

/**
 * The token was rotated before, so its thief or its owner holds the successor (RFC 9700, 4.14.2:
 * what it was rotated to should be revoked).
 */
export class RefreshTokenReused
  extends Schema.TaggedError<RefreshTokenReused>()("RefreshTokenReused", sessionState) {
  override readonly message = "The refresh token was rotated before; it may have been stolen"
}

/** The token was revoked, by a logout or by hand. */
export class RefreshTokenRevoked
  extends Schema.TaggedError<RefreshTokenRevoked>()("RefreshTokenRevoked", sessionState) {
  override readonly message = "The refresh token was revoked"
}

/** The token's time is over. */
export class RefreshTokenExpired
  extends Schema.TaggedError<RefreshTokenExpired>()("RefreshTokenExpired", sessionState) {
  override readonly message = "The refresh token has expired"
}

/** What is to be stored would have ended already, by the database's clock. */
export class ExpiryNotInFuture
  extends Schema.TaggedError<ExpiryNotInFuture>()("ExpiryNotInFuture", {
    property: Schema.Literals(["expiresAt", "sessionExpiresAt"]),
  }) {
  override readonly message = "Expected a time in the future"
}

/** A rotation was asked to replace a token by itself. */
export class SelfRotation extends Schema.TaggedError<SelfRotation>()("SelfRotation", {}) {
  override readonly message = "A refresh token cannot be rotated onto itself"
}
