/**
 * The whole contents of the three tables, in the words of the model.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { fromDateTime } from "./Instant.ts"
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
  version: Schema.String,
  hasFingerprint: Schema.Boolean,
})

const Token = Schema.Struct({
  id: Schema.String,
  userId: Schema.String,
  tokenHash: Schema.String,
  expiresAt: Instant,
  isRevoked: Schema.Boolean,
  successorId: Schema.NullOr(Schema.String),
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
      version::text AS version, idempotency_fingerprint IS NOT NULL AS "hasFingerprint"
    FROM users
    ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(User))))
  const tokens = yield* sql`
    SELECT
      id, user_id AS "userId", token_hash AS "tokenHash", expires_at AS "expiresAt",
      revoked_at IS NOT NULL AS "isRevoked", successor_id AS "successorId",
      host(ip_address) AS "ipAddress", idempotency_fingerprint IS NOT NULL AS "hasFingerprint"
    FROM refresh_tokens
    ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(Token))))
  const attempts = yield* sql`
    SELECT
      id, user_id AS "userId", email, host(ip_address) AS "ipAddress", success,
      attempted_at AS "attemptedAt", idempotency_fingerprint IS NOT NULL AS "hasFingerprint"
    FROM login_attempts
    ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(Attempt))))
  return {
    users,
    tokens: tokens.map((token) => ({ ...token, expiresAt: fromDateTime(token.expiresAt) })),
    attempts: attempts.map((attempt) => ({
      ...attempt,
      attemptedAt: fromDateTime(attempt.attemptedAt),
    })),
  }
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
