/**
 * Users that pairs of operations are about: how they are made, and how their end state is read.
 */
import { assert } from "@effect/vitest"
import { Effect, Option, Redacted, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { LoginAttemptId } from "../../src/domain/LoginAttempt.ts"
import type { RefreshToken, TokenHash } from "../../src/domain/RefreshToken.ts"
import { type GoogleId, User } from "../../src/domain/User.ts"
import { atOnce } from "../support/atOnce.ts"
import type { Service } from "../support/elsewhere.ts"
import {
  aGoogleId,
  anAttemptToBegin,
  aSuccessor,
  aToken,
  aTokenHash,
  aUser,
} from "../support/factories.ts"
import type { Observed, Pair } from "./judge.ts"
import type { Call, Operation } from "./step.ts"
import { type Account, live, revoked, rotatedTo, type TokenName, type World } from "./World.ts"

export interface Fixture {
  readonly pair: Pair
  /** As it was read before the pair starts. */
  readonly user: User
  /** What is there before, by name. */
  readonly tokens: ReadonlyMap<TokenName, RefreshToken>
  /** The hashes of these, and of what the operations add. */
  readonly hashes: Readonly<Record<TokenName, TokenHash>>
  readonly googleIds: Readonly<Record<1 | 2, GoogleId>>
  /** A sign-in of the user that has begun. */
  readonly attempt: LoginAttemptId
  readonly before: World
}

export type OperationPair = readonly [Operation, Operation]

/**
 * What differs between runs of a pair: in the second variant, a token that was rotated before has two
 * successors, revocations ask for another token of the session, or beside `capped` for the younger
 * session, and two sign-ins with Google have different ids.
 */
export type Variant = 0 | 1

const needsRotated = (pair: OperationPair) => pair.some((name) => ["grace", "reuse"].includes(name))
const needsOther = (pair: OperationPair) => pair.includes("capped")

/** The user's sessions begin one after the other, by whole minutes, whatever the clock's resolution. */
const antedate = (sql: SqlClient.SqlClient, tokens: ReadonlyArray<RefreshToken>, minutes: number) =>
  sql`
    UPDATE refresh_tokens
    SET created_at = created_at - make_interval(mins => ${minutes}::int)
    WHERE id = ANY(${tokens.map(({ id }) => id)}::uuid[])`

export const accountOf = (
  { isActive, passwordHash, authProvider, googleId, emailVerifiedAt }: User,
): Account => ({
  isActive,
  passwordHash: passwordHash === null ? null : Redacted.value(passwordHash),
  authProvider,
  googleId,
  isVerified: emailVerifiedAt !== null,
})

const callOf = (
  pair: OperationPair,
  index: 1 | 2,
  variant: Variant,
  googleId: GoogleId,
): Call => {
  const current = needsRotated(pair) ? "second" : "first"
  return {
    operation: pair[index - 1] ?? pair[0],
    index,
    current,
    revokes: variant === 0 ? current : needsOther(pair) ? "other" : "first",
    passwordHash: `hash by ${index}`,
    googleId,
  }
}

const addTokens = Effect.fnUntraced(function* (
  { tokens }: Service,
  sql: SqlClient.SqlClient,
  pair: OperationPair,
  variant: Variant,
  users: ReadonlyArray<User>,
) {
  const all = new Map<TokenName, ReadonlyArray<RefreshToken>>()
  const first = yield* atOnce(users.map(({ id }) => tokens.create(aToken(id))))
  all.set("first", first)
  if (needsOther(pair)) {
    yield* antedate(sql, first, 2)
    const other = yield* atOnce(users.map(({ id }) => tokens.create(aToken(id))))
    yield* antedate(sql, other, 1)
    all.set("other", other)
  }
  if (needsRotated(pair)) {
    const rotate = Effect.suspend(() =>
      atOnce(
        first.map(({ tokenHash }) => tokens.rotate(tokenHash, aSuccessor(), { graceSeconds: 60 })),
      )
    )
    all.set("second", yield* rotate)
    if (variant === 1) all.set("sibling", yield* rotate)
  }
  return users.map((_, index) =>
    new Map([...all].flatMap(([name, created]) => {
      const token = created[index]
      return token === undefined ? [] : [[name, token] as const]
    }))
  )
})

const worldBefore = (user: User, tokens: Fixture["tokens"]): World => {
  const hasSibling = tokens.has("sibling")
  const token = (name: TokenName) => {
    const isSpent = name === "first" && tokens.has("second")
    return {
      name,
      session: name === "other" ? "other" : "first",
      status: isSpent ? rotatedTo("second") : live,
      siblings: name === "second" && hasSibling ? ["sibling"] : [],
    }
  }
  const names = (["first", "second", "sibling", "other"] as const).filter((name) =>
    tokens.has(name)
  )
  return { account: accountOf(user), heir: null, tokens: names.map(token), attempt: "pending" }
}

/** Makes so many users for a pair. */
export const prepare = Effect.fnUntraced(function* (
  service: Service,
  sql: SqlClient.SqlClient,
  pair: OperationPair,
  variant: Variant,
  count: number,
) {
  const users = yield* atOnce(
    Array.from({ length: count }, () => service.users.create(aUser())),
  )
  const tokens = yield* addTokens(service, sql, pair, variant, users)
  const begun = yield* atOnce(
    users.map(({ email }) => service.attempts.begin(anAttemptToBegin({ email }))),
  )
  return users.map((user, index): Fixture => {
    const had = tokens[index] ?? new Map<TokenName, RefreshToken>()
    const hash = (name: TokenName) => had.get(name)?.tokenHash ?? aTokenHash()
    const googleId = aGoogleId()
    const googleIds = { 1: googleId, 2: variant === 0 ? googleId : aGoogleId() }
    return {
      pair: [callOf(pair, 1, variant, googleIds[1]), callOf(pair, 2, variant, googleIds[2])],
      user,
      tokens: had,
      hashes: {
        first: hash("first"),
        second: hash("second"),
        sibling: hash("sibling"),
        other: hash("other"),
        "by 1": aTokenHash(),
        "by 2": aTokenHash(),
      },
      googleIds,
      attempt: begun[index]?.attempt.id ?? assert.fail("An attempt for each user"),
      before: worldBefore(user, had),
    }
  })
})

const AccountRow = Schema.Struct({
  id: Schema.String,
  email: Schema.String,
  isActive: Schema.Boolean,
  passwordHash: Schema.NullOr(Schema.String),
  authProvider: Schema.String,
  googleId: Schema.NullOr(Schema.String),
  isVerified: Schema.Boolean,
})

const TokenRow = Schema.Struct({
  id: Schema.String,
  userId: Schema.String,
  tokenHash: Schema.String,
  sessionId: Schema.String,
  successorId: Schema.NullOr(Schema.String),
  siblingIds: Schema.Array(Schema.String),
  createdAt: Schema.Number,
  revokedAt: Schema.NullOr(Schema.Number),
  revokedReason: Schema.NullOr(Schema.String),
})
export type TokenRow = typeof TokenRow.Type

const AttemptRow = Schema.Struct({
  id: Schema.String,
  success: Schema.Boolean,
  pending: Schema.Boolean,
  hasToken: Schema.Boolean,
})

const readAccounts = (sql: SqlClient.SqlClient, fixtures: ReadonlyArray<Fixture>) =>
  sql`
    SELECT
      id,
      email,
      is_active AS "isActive",
      password_hash AS "passwordHash",
      auth_provider AS "authProvider",
      google_id AS "googleId",
      email_verified_at IS NOT NULL AS "isVerified"
    FROM users
    WHERE email = ANY(${fixtures.map(({ user }) => user.email)})`.pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(AccountRow))),
  )

const readTokens = (sql: SqlClient.SqlClient, fixtures: ReadonlyArray<Fixture>) =>
  sql`
    SELECT
      id,
      user_id AS "userId",
      token_hash AS "tokenHash",
      COALESCE(session_id, id) AS "sessionId",
      successor_id AS "successorId",
      COALESCE(sibling_ids, '{}') AS "siblingIds",
      (extract(epoch FROM created_at) * 1000)::float8 AS "createdAt",
      (extract(epoch FROM revoked_at) * 1000)::float8 AS "revokedAt",
      revoked_reason AS "revokedReason"
    FROM refresh_tokens
    WHERE user_id = ANY(${fixtures.map(({ user }) => user.id)}::uuid[])`.pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(TokenRow))),
  )

const readAttempts = (sql: SqlClient.SqlClient, fixtures: ReadonlyArray<Fixture>) =>
  sql`
    SELECT id, success, pending, refresh_token_id IS NOT NULL AS "hasToken"
    FROM login_attempts
    WHERE id = ANY(${fixtures.map(({ attempt }) => attempt)}::uuid[])`.pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.Array(AttemptRow))),
  )

/** A token that was rotated has a successor and no reason; one that was revoked has a reason. */
const statusOf = (row: TokenRow, nameOf: (id: string) => string) => {
  if (row.successorId !== null) {
    const reason = row.revokedReason === null ? "" : ` and ${revoked(row.revokedReason)}`
    return row.revokedAt === null
      ? "live with a successor"
      : `${rotatedTo(nameOf(row.successorId))}${reason}`
  }
  return row.revokedAt === null ? live : revoked(row.revokedReason ?? "no reason")
}

/** Where a hash is none of the fixture's, it is its own name, and no order explains the token. */
const nameIn = ({ hashes }: Fixture, hash: string): TokenName => {
  const names = Object.entries(hashes).flatMap(([name, known]) => known === hash ? [name] : [])
  return (names[0] ?? hash) as TokenName // a key of `hashes`
}

const attemptStatus = ({ success, pending, hasToken }: typeof AttemptRow.Type) => {
  if (pending) return success || hasToken ? "pending, with what it may not have" : "pending"
  return success && hasToken ? "succeeded" : "completed, without what it was asked for"
}

export interface EndState extends Omit<Observed, "answers"> {
  readonly rows: ReadonlyArray<TokenRow>
}

/** What the database holds of each fixture's user. */
export const readEndStates = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  fixtures: ReadonlyArray<Fixture>,
) {
  const accounts = yield* readAccounts(sql, fixtures)
  const tokens = yield* readTokens(sql, fixtures)
  const attempts = yield* readAttempts(sql, fixtures)
  return fixtures.map((fixture): EndState => {
    const { user } = fixture
    const rows = tokens.filter(({ userId }) => userId === user.id)
    const nameOf = (id: string) =>
      Option.match(Option.fromUndefinedOr(rows.find((row) => row.id === id)), {
        onNone: () => id,
        onSome: ({ tokenHash }) => nameIn(fixture, tokenHash),
      })
    const withAddress = accounts.filter(({ email }) => email === user.email)
    const timesOf = (time: (row: TokenRow) => number | null) =>
      new Map(rows.flatMap((row) => {
        const at = time(row)
        return at === null ? [] : [[nameIn(fixture, row.tokenHash), at] as const]
      }))
    return {
      rows,
      world: {
        account: withAddress.find(({ id }) => id === user.id) ?? null,
        heir: withAddress.find(({ id }) => id !== user.id) ?? null,
        tokens: rows.map((row) => ({
          name: nameIn(fixture, row.tokenHash),
          session: nameOf(row.sessionId),
          status: statusOf(row, nameOf),
          siblings: row.siblingIds.map(nameOf),
        })),
        attempt: Option.match(
          Option.fromUndefinedOr(attempts.find(({ id }) => id === fixture.attempt)),
          { onSome: attemptStatus, onNone: () => "gone" },
        ),
      },
      createdAt: timesOf(({ createdAt }) => createdAt),
      revokedAt: timesOf(({ revokedAt }) => revokedAt),
    }
  })
})
