/**
 * Refresh tokens, of which only a hash is ever stored, and what can go wrong with them.
 */
import { DateTime, Effect, Schema } from "effect"
import { Model } from "effect/schema"
import { nullable, optionalAsNull } from "../schema/nullable.ts"
import { boundedText } from "../schema/Text.ts"
import { IpAddress, StoredIpAddress } from "./IpAddress.ts"
import { StoredTimestamp, Timestamp } from "./Timestamp.ts"
import { StoredUserId, UserId } from "./User.ts"
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
 * A refresh token. It ends by expiring or by being revoked; a rotation revokes it and names its
 * successor.
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

/** What a rotation takes: all of a new token but its user, who is the old token's. */
export const Successor = RefreshToken.insert.mapFields(({ userId: _, ...fields }) => fields)
export type Successor = typeof Successor.Type

/** No token has this hash. */
export class RefreshTokenNotFound
  extends Schema.TaggedError<RefreshTokenNotFound>()("RefreshTokenNotFound", {}) {
  override readonly message = "There is no such refresh token"
}

/** Another token has this hash. */
export class TokenHashTaken extends Schema.TaggedError<TokenHashTaken>()("TokenHashTaken", {}) {
  override readonly message = "Another refresh token has this hash"
}

/**
 * The token was rotated before, so its thief or its owner holds the successor (RFC 9700, 4.14.2:
 * what it was rotated to should be revoked).
 */
export class RefreshTokenReused
  extends Schema.TaggedError<RefreshTokenReused>()("RefreshTokenReused", {}) {
  override readonly message = "The refresh token was rotated before; it may have been stolen"
}

/** The token was revoked, by a logout or by hand. */
export class RefreshTokenRevoked
  extends Schema.TaggedError<RefreshTokenRevoked>()("RefreshTokenRevoked", {}) {
  override readonly message = "The refresh token was revoked"
}

/** The token's time is over. */
export class RefreshTokenExpired
  extends Schema.TaggedError<RefreshTokenExpired>()("RefreshTokenExpired", {}) {
  override readonly message = "The refresh token has expired"
}

/** The token to be stored would have expired already, by the database's clock. */
export class ExpiryNotInFuture
  extends Schema.TaggedError<ExpiryNotInFuture>()("ExpiryNotInFuture", {}) {
  override readonly message = "Expected a time in the future"
}

/** A rotation was asked to replace a token by itself. */
export class SelfRotation extends Schema.TaggedError<SelfRotation>()("SelfRotation", {}) {
  override readonly message = "A refresh token cannot be rotated onto itself"
}
