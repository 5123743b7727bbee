/**
 * What the properties, parameters and headers of the API mean, word by word: the OpenAPI document
 * says it wherever a word occurs. A word that means something else in one schema or place has an
 * entry of its own there, such as `NewUser.isActive` or `path.id`.
 */
import type { Json } from "./json.ts"

export interface Meaning {
  readonly description: string
  readonly examples?: ReadonlyArray<Json>
  /** What an absent property is taken for. */
  readonly default?: Json
}

const userId = "6f1c1a52-7f3b-4d0e-9c65-0a4d1f2b7c11"
const sessionId = "0197a3c5-5c2e-7c1b-9d3f-2f6d3a1e8b70"
const hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
const instant = "2027-01-31T12:00:00.000Z"
const later = "2099-01-31T12:00:00.000Z"

const newExpiry: Meaning = {
  description: "When the token expires: RFC 3339 with an offset or `Z`, years 1 to 9999, in the " +
    "future by the database's clock; digits finer than a millisecond are cut",
  examples: [later],
}

export const glossary: Readonly<Record<string, Meaning>> = {
  // Users
  "path.id": { description: "Id of the user", examples: [userId] },
  "User.id": { description: "Id of the user, random", examples: [userId] },
  "userId": { description: "Id of the user", examples: [userId] },
  "email": {
    description: "E-mail address in ASCII (internationalized domains as A-labels), at most 254 " +
      "characters, neither trimmed nor changed. Addresses that differ only in case are the same",
    examples: ["Ada@example.com"],
  },
  "fullName": { description: "Name of the person", examples: ["Ada Lovelace"] },
  "passwordHash": {
    description: "What a password hasher returned, in any format; never the password",
    examples: ["$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"],
  },
  "authProvider": {
    description: "How the account signs in: `email` needs a passwordHash, `google` a googleId",
    examples: ["email"],
  },
  "googleId": {
    description: "Google's `sub` claim, case-sensitive",
    examples: ["110169484474386276334"],
  },
  "isActive": {
    description: "Whether the account is active; one that is not has no valid token and gets none",
    examples: [true],
  },
  "NewUser.isActive": {
    description: "Whether the account is active; one that is not has no valid token and gets none",
    examples: [true],
    default: true,
  },
  "emailVerifiedAt": {
    description:
      "When the e-mail address was verified, null while it is not. A change of `email` in " +
      "more than its case clears it, unless the same request sets it",
    examples: [null],
  },
  "emailVerified": {
    description: "What Google's ID token says: whether Google has verified the address",
    examples: [true],
  },
  "onEmailTaken": {
    description: "What to do when another account has the address: `refuse` is `email-taken`; " +
      "`link` gives it the Google id, if `emailVerified` is true",
    examples: ["link"],
    default: "refuse",
  },
  "revokeSessions": {
    description: "Ends the user's sessions in the same transaction; by itself it changes nothing " +
      "else, the `ETag` included",
  },
  "SessionsToRevoke.reason": {
    description: "Why the sessions end, as a slug of the caller's",
    examples: ["credentials-changed"],
    default: "credentials-changed",
  },
  "SessionsToRevoke.exceptSessionId": {
    description: "A session that goes on, such as the one that the change was made in",
    examples: [sessionId],
  },
  "Credentials.version": {
    description:
      "Version of the user, opaque: `userVersion` of a token that is created after the " +
      "check, and the entity tag for `If-Match`",
    examples: ["42"],
  },
  "createdAt": { description: "When the row was created", examples: [instant] },
  "updatedAt": {
    description: "When the user last changed; a change that changes nothing leaves it",
    examples: [instant],
  },

  // Refresh tokens
  "RefreshToken.id": {
    description: "Id of the refresh token, which begins with the time (UUID version 7)",
    examples: [sessionId],
  },
  "RefreshTokenWithUser.id": {
    description: "Id of the refresh token, which begins with the time (UUID version 7)",
    examples: [sessionId],
  },
  "tokenHash": {
    description: "What the caller made of the token, compared exactly. Use hexadecimal digits or " +
      "base64url: the hash is part of paths, where the `/` of base64 has to be `%2F`, and a client " +
      "that does not encode path segments never finds the token",
    examples: [hash],
  },
  "exceptTokenHash": {
    description: "Hash of a valid token of the user that stays as it is; any other spares nothing",
    examples: [hash],
  },
  "expiresAt": { description: "When the token expires", examples: [later] },
  "NewRefreshToken.expiresAt": newExpiry,
  "Successor.expiresAt": newExpiry,
  "sessionId": {
    description: "Id of the session that the token belongs to: the id of its first token",
    examples: [sessionId],
  },
  "signedInAt": {
    description: "When the session began: when its first token was created",
    examples: [instant],
  },
  "sessionExpiresAt": {
    description: "The session's absolute end, null for none; no token of the session outlives it",
    examples: [null],
  },
  "NewRefreshToken.sessionExpiresAt": {
    description:
      "The session's absolute end, in the future by the database's clock; `expiresAt` of " +
      "this token and of its successors is cut to it",
    examples: [later],
  },
  "userVersion": {
    description:
      "`version` of the credentials that were checked: 412 if the user has changed since",
    examples: ["42"],
  },
  "maxSessions": {
    description: "How many live sessions the user may have, this one included; null for any number",
    examples: [5],
  },
  "onLimit": {
    description:
      "What to do when the user has `maxSessions` already: `revoke-oldest` (if absent) ends " +
      "the oldest others, `refuse` is `session-limit`. Only with `maxSessions`",
    examples: ["revoke-oldest"],
  },
  "graceSeconds": {
    description:
      "For how many seconds after its rotation the token may be rotated once more, up to " +
      "ten times and while none of its successors was rotated; if absent, `ROTATION_GRACE` of the " +
      "service",
    examples: [10],
  },
  "onReuse": {
    description:
      "What becomes of the session when the token was rotated before: `report` leaves it to " +
      "the caller, `revoke-session` ends it in the same transaction; if absent, `ROTATION_ON_REUSE` " +
      "of the service",
    examples: ["revoke-session"],
  },
  "user": { description: "The token's user, with `include=user`" },
  "reason": {
    description: "Why, as a slug of the caller's: a to z, 0 to 9 and hyphens; latchkey's own are " +
      "refused",
    examples: ["logout"],
  },
  "Revocation.reason": {
    description: "Why, as a slug of the caller's: a to z, 0 to 9 and hyphens; latchkey's own are " +
      "refused",
    examples: ["logout"],
    default: "logout",
  },
  "TokensToRevoke.reason": {
    description: "Why, as a slug of the caller's: a to z, 0 to 9 and hyphens; latchkey's own are " +
      "refused",
    examples: ["logout-all"],
    default: "logout-all",
  },
  "exceptSessionId": {
    description: "Id of a session whose tokens stay as they are",
    examples: [sessionId],
  },
  "revokedReason": {
    description: "Why the token was revoked: `rotated`, `reuse-detected`, `user-deactivated` and " +
      "`session-limit` are latchkey's, others the caller's; null while it is not, and where the " +
      "writer gave none",
    examples: [null],
  },
  "sessionIsLive": {
    description:
      "Whether the session had a valid token before the call; a replay on a session that " +
      "had ended is no news",
    examples: [true],
  },

  // Sessions
  "Session.id": {
    description: "Id of the session: the id of its first token",
    examples: [sessionId],
  },
  "refreshedAt": {
    description: "When the newest valid token of the session was created",
    examples: [instant],
  },
  "Session.expiresAt": {
    description: "When the session ends unless it is refreshed: the latest expiry of its tokens",
    examples: [later],
  },
  "revokedAt": {
    description: "When the token was revoked or rotated, null before that; it never changes again",
    examples: [null],
  },
  "isValid": {
    description: "Whether the token was neither revoked nor expired when it was read, by the " +
      "database's clock",
    examples: [true],
  },
  "userAgent": {
    description: "What the client says it is; cut after 1,024 characters",
    examples: ["Mozilla/5.0"],
  },
  "ipAddress": {
    description: "One IP address without port, zone or prefix length, in any usual spelling; " +
      "stored in canonical form (RFC 5952), an IPv4-mapped one as the IPv4 address",
    examples: ["192.0.2.1"],
  },
  "revoked": { description: "How many tokens were revoked", examples: [2] },

  // Login attempts
  "LoginAttempt.id": {
    description: "Id of the login attempt, which begins with the time (UUID version 7)",
    examples: ["0197a3c5-5c2e-7c1b-9d3f-2f6d3a1e8b71"],
  },
  "LoginAttempt.userId": {
    description: "Id of the user, null if none was named or the user was deleted since",
    examples: [userId],
  },
  "success": { description: "Whether the attempt succeeded", examples: [false] },
  "failureReason": { description: "Why the attempt failed", examples: ["wrong password"] },
  "attemptedAt": {
    description: "When the attempt was begun or recorded, by the database's clock",
    examples: [instant],
  },
  "count": { description: "How many failed attempts there were, exactly", examples: [3] },
  "pending": {
    description: "Whether the attempt was begun and not completed, which counts as a failure",
    examples: [false],
  },
  "attempt": { description: "The login attempt" },
  "limits": {
    description: "How many failures there may be before this attempt; at most eight limits",
  },
  "TooManyFailuresProblem.limits": { description: "The limits that were reached" },
  "by": {
    description:
      "What failures are counted by: `email`, `ipAddress`, `ipPrefix` (/24 of IPv4, /64 of " +
      "IPv6) or `emailAndIpAddress`",
    examples: ["emailAndIpAddress"],
  },
  "failures": {
    description: "With so many failures in the window, no further attempt begins",
    examples: [5],
  },
  "counts": { description: "For each limit, how many failures there were before this attempt" },
  "retryAfter": {
    description: "Seconds until there are fewer failures than the limit",
    examples: [240],
  },
  "knownSource": {
    description:
      "Whether a login attempt with this e-mail address has succeeded from this IP address " +
      "before: a lockout that spares such sources cannot be triggered by strangers",
    examples: [true],
  },
  "BegunAttempt.user": {
    description:
      "The credentials of the account that has the address, null if there is none; only with " +
      "`include=credentials`",
  },
  "refreshToken": {
    description: "The refresh token that begins the session, of the attempt's user; null for none",
  },
  "forgivenAt": {
    description:
      "Failures up to then no longer count for limits by `email` and `emailAndIpAddress`",
    examples: [instant],
  },
  "minutes": { description: "Length of the window that ends now, in minutes", examples: [15] },
  "query.email": {
    description: "Attempts with this e-mail address, in whatever case",
    examples: ["ada@example.com"],
  },
  "query.ipAddress": {
    description: "Attempts from this IP address, in whatever spelling",
    examples: ["192.0.2.1"],
  },
  "query.include": {
    description:
      "What the response has as well: `user`, with a token, needs the scope `users:read`; " +
      "`credentials`, with a login attempt, the scope `credentials:read`",
  },

  // Finding users
  "ids": { description: "Ids of users, at most 500", examples: [[userId]] },
  "emails": {
    description: "E-mail addresses in whatever case, at most 500",
    examples: [["ada@example.com"]],
  },
  "googleIds": { description: "Google ids, at most 500", examples: [["110169484474386276334"]] },
  "users": { description: "Each user once, in no order" },
  "emailPrefix": {
    description: "What the address begins with, in whatever case; the list is by address then",
    examples: ["ada@"],
  },
  "UserCount.count": { description: "How many users there are", examples: [1200] },
  "isExact": {
    description: "Whether they were counted; otherwise it is PostgreSQL's estimate",
    examples: [true],
  },
  "exact": { description: "`true` counts, however many there are", examples: [true] },

  // Lists and maintenance
  "items": { description: "The rows of this page, in the order of the list" },
  "nextCursor": {
    description: "Continues the list as the query parameter `cursor`; null at its end",
    examples: [null],
  },
  "limit": { description: "Rows on a page, at most", examples: [50] },
  "cursor": {
    description: "`nextCursor` of the page before; without one, the list begins",
  },
  "active": {
    description:
      "`true` lists the valid tokens, `false` the revoked and expired ones; both without",
    examples: [true],
  },
  "olderThanDays": {
    description: "Age in days of 24 hours from which rows are deleted: of tokens since they " +
      "expired, of login attempts since they were recorded",
    examples: [30],
  },
  "deleted": { description: "How many rows were deleted", examples: [1200] },

  // Health
  "Health.status": { description: "Always `ok`", examples: ["ok"] },

  // Problems
  "type": { description: "Identifies the problem; clients decide by it" },
  "title": { description: "The problem in words, for people; the wording may change" },
  "status": { description: "The status of the response" },
  "detail": { description: "More about this occurrence, where there is more to say" },
  "errors": { description: "What is wrong with the request, place by place; at most 20 places" },
  "InputError.path": {
    description: "The place as a dotted path of property names, or the part of the request",
    examples: ["expiresAt"],
  },
  "InputError.message": {
    description: "What was expected there; what was sent is not repeated",
    examples: [
      "Expected an RFC 3339 date and time with an offset, years 1 to 9999",
    ],
  },

  // Headers
  "idempotency-key": {
    description: "Becomes the id of the row. The same request again creates nothing and returns " +
      "201 with the row as it is then; another request with the key is 422",
    examples: ["3f0c7d1e-4b5a-4c6d-8e7f-9a0b1c2d3e4f"],
  },
  "if-match": {
    description: "Entity tags: the change is made only if the user has one of them, and is 412 " +
      "otherwise (RFC 9110, 13.1.1)",
    examples: ['"42"'],
  },
  "if-none-match": {
    description: "Entity tags: 304 without a body if the user has one of them (RFC 9110, 13.1.2)",
    examples: ['"42"'],
  },
  "x-request-id": {
    description:
      "The id of the request: the client's `X-Request-Id` if it is at most 128 visible ASCII " +
      "characters, otherwise a new one",
    examples: ["3f0c7d1e-4b5a-4c6d-8e7f-9a0b1c2d3e4f"],
  },
  "location": { description: "Path of the row that was created" },
  "etag": {
    description: "Version of the user, another one after every change; for `If-Match`",
    examples: ['"42"'],
  },
  "allow": { description: "The methods of the path, on 405", examples: ["GET, HEAD"] },
  "www-authenticate": { description: "The authentication scheme", examples: ["Bearer"] },
  "retry-after": { description: "Seconds after which to try again", examples: [1] },
}
