/**
 * The whole contents of the three tables, in the words of the model.
 */
import { DateTime, Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { fromDateTime, fromNullable } from "./Instant.ts"
import type { Tables } from "./Tables.ts"

const Instant = Schema.DateTimeUtcFromDate

const User = Schema.Struct({
  id: Schema.String,
  email: Schema.String,
  fullName: Schema.NullOr(Schema.String),
  passwordHash: Schema.NullOr(Schema.String),
  authProvider: Schema.String,
  googleId: Schema.NullOr(Schema.String),
  isActive: Schema.Boolean,
  emailVerifiedAt: Schema.NullOr(Instant),
  version: Schema.String,
  hasFingerprint: Schema.Boolean,
})

const Token = Schema.Struct({
  id: Schema.String,
  userId: Schema.String,
  tokenHash: Schema.String,
  expiresAt: Instant,
  sessionId: Schema.String,
  signedInAt: Instant,
  sessionExpiresAt: Schema.NullOr(Instant),
  revokedAt: Schema.NullOr(Instant),
  revokedReason: Schema.NullOr(Schema.String),
  successorId: Schema.NullOr(Schema.String),
  siblingIds: Schema.Array(Schema.String),
  userAgent: Schema.NullOr(Schema.String),
  ipAddress: Schema.NullOr(Schema.String),
  hasFingerprint: Schema.Boolean,
})

const Attempt = Schema.Struct({
  id: Schema.String,
  userId: Schema.NullOr(Schema.String),
  email: Schema.String,
  ipAddress: Schema.String,
  success: Schema.Boolean,
  attemptedAt: Instant,
  hasFingerprint: Schema.Boolean,
})

/** Empties the tables. */
export const clear = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DELETE FROM users`
  yield* sql`DELETE FROM login_attempts`
})

export const contents = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const users = yield* sql`
    SELECT
      id, email, full_name AS "fullName", password_hash AS "passwordHash",
      auth_provider AS "authProvider", google_id AS "googleId", is_active AS "isActive",
      email_verified_at AS "emailVerifiedAt", version::text AS version,
      idempotency_fingerprint IS NOT NULL AS "hasFingerprint"
    FROM users
    ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(User))))
  const tokens = yield* sql`
    SELECT
      id, user_id AS "userId", token_hash AS "tokenHash", expires_at AS "expiresAt",
      COALESCE(session_id, id) AS "sessionId",
      COALESCE(signed_in_at, created_at) AS "signedInAt",
      session_expires_at AS "sessionExpiresAt", revoked_at AS "revokedAt",
      COALESCE(revoked_reason, CASE WHEN successor_id IS NOT NULL THEN 'rotated' END)
        AS "revokedReason",
      successor_id AS "successorId", COALESCE(sibling_ids, '{}') AS "siblingIds",
      user_agent AS "userAgent", host(ip_address) AS "ipAddress",
      idempotency_fingerprint IS NOT NULL AS "hasFingerprint"
    FROM refresh_tokens
    ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(Token))))
  const attempts = yield* sql`
    SELECT
      id, user_id AS "userId", email, host(ip_address) AS "ipAddress", success,
      attempted_at AS "attemptedAt", idempotency_fingerprint IS NOT NULL AS "hasFingerprint"
    FROM login_attempts
    ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(Attempt))))
  return {
    users: users.map((user) => ({
      ...user,
      emailVerifiedAt: fromNullable(user.emailVerifiedAt),
    })),
    tokens: tokens.map((token) => ({
      ...token,
      expiresAt: fromDateTime(token.expiresAt),
      signedInAt: DateTime.formatIso(token.signedInAt),
      sessionExpiresAt: fromNullable(token.sessionExpiresAt),
      revokedAt: fromNullable(token.revokedAt),
    })),
    attempts: attempts.map((attempt) => ({
      ...attempt,
      attemptedAt: fromDateTime(attempt.attemptedAt),
    })),
  }
})

/** Live tokens of users who are not active, of which there must never be one. */
export const forbiddenTokens = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`
    SELECT refresh_tokens.*
    FROM refresh_tokens
    JOIN users ON users.id = user_id
    WHERE revoked_at IS NULL AND expires_at > now() AND NOT is_active`
})

const inOrder = <A extends { readonly id: string }>(rows: ReadonlyArray<A>) =>
  rows.toSorted((a, b) => a.id < b.id ? -1 : 1)

/** What {@link contents} should find where the model is right. */
export const expectedContents = ({ users, tokens, attempts }: Tables) => ({
  users: inOrder(users).map(({ createdAt: _, fingerprint, ...user }) => ({
    ...user,
    hasFingerprint: fingerprint !== null,
  })),
  tokens: inOrder(tokens).map(({ createdAt: _, fingerprint, ...token }) => ({
    ...token,
    hasFingerprint: fingerprint !== null,
  })),
  attempts: inOrder(attempts).map(({ fingerprint, ...attempt }) => ({
    ...attempt,
    hasFingerprint: fingerprint !== null,
  })),
})
