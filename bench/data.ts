/**
 * What the benchmark's database holds, as a rule that SQL and the load generator both follow: row
 * `i` of a table has the same key on both sides, so that no list of keys has to be handed over.
 */
import { createHash } from "node:crypto"

export interface Size {
  readonly users: number
  readonly tokens: number
  readonly attempts: number
}

/** Twice as many tokens as users, and five times as many attempts. */
export const sizeOf = (users: number): Size => ({ users, tokens: 2 * users, attempts: 5 * users })

/** A UUID that looks random, always the same of a name. */
const uuidOf = (name: string): string => {
  const hash = createHash("md5").update(name).digest("hex")
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-` +
    hash.slice(20)
}

/** Spread over the index like the random ids of production. */
export const userId = (i: number): string => uuidOf(`user-${i}`)

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")

export const tokenHash = (i: number): string => sha256(`token-${i}`)

/** A live token that was put there for one request of one run to use up. */
export const preparedTokenHash = (run: number, i: number): string => sha256(`prepared-${run}-${i}`)

/** A user with {@link sessionsOfAccount} live sessions, put there for one request as well. */
export const accountId = (run: number, i: number): string => uuidOf(`account-${run}-${i}`)

export const accountEmail = (run: number, i: number): string =>
  `${addedBy}.account.${run}.${i}@example.com`

/** Live sessions of each prepared account, numbered from 0. */
export const sessionsOfAccount = 3

export const sessionId = (run: number, i: number, session: number): string =>
  uuidOf(`session-${run}-${i}-${session}`)

/** The one live token of such a session. */
export const sessionTokenHash = (run: number, i: number, session: number): string =>
  sha256(`session-${run}-${i}-${session}`)

/** Of ten tokens in a row, one is expired and one revoked. */
export const isLive = (i: number): boolean => i % 10 > 1

/** Of four users in a row, one signs in with Google. */
export const hasPassword = (i: number): boolean => i % 4 > 0

/** What marks the rows that runs add, so that they can be taken away again. */
export const addedBy = "bench"

export const functions = [
  `CREATE SCHEMA bench`,
  `CREATE FUNCTION bench.uuid_of(name text) RETURNS uuid IMMUTABLE LANGUAGE sql
    RETURN overlay(overlay(md5(name) PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid`,
  `CREATE FUNCTION bench.user_id(i bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
    RETURN bench.uuid_of('user-' || i::text)`,
  `CREATE FUNCTION bench.token_hash(i bigint) RETURNS text IMMUTABLE LANGUAGE sql
    RETURN encode(sha256(('token-' || i::text)::bytea), 'hex')`,
  `CREATE FUNCTION bench.prepared_token_hash(run bigint, i bigint) RETURNS text
    IMMUTABLE LANGUAGE sql
    RETURN encode(sha256(('prepared-' || run::text || '-' || i::text)::bytea), 'hex')`,
  `CREATE FUNCTION bench.account_id(run bigint, i bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
    RETURN bench.uuid_of('account-' || run::text || '-' || i::text)`,
  `CREATE FUNCTION bench.session_id(run bigint, i bigint, session bigint) RETURNS uuid
    IMMUTABLE LANGUAGE sql
    RETURN bench.uuid_of('session-' || run::text || '-' || i::text || '-' || session::text)`,
  `CREATE FUNCTION bench.session_token_hash(run bigint, i bigint, session bigint) RETURNS text
    IMMUTABLE LANGUAGE sql
    RETURN encode(
      sha256(('session-' || run::text || '-' || i::text || '-' || session::text)::bytea), 'hex'
    )`,
  // As latchkey makes the ids of tokens: version 7, the time first.
  `CREATE FUNCTION bench.new_token_id() RETURNS uuid VOLATILE LANGUAGE sql
    RETURN (
      lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
      || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::uuid`,
]

/** What fills each table. */
export const rows = ({ users, tokens, attempts }: Size) => ({
  users:
    `INSERT INTO users (id, email, full_name, password_hash, auth_provider, google_id, created_at)
    SELECT
      bench.user_id(i),
      'User.' || i || '@example.com',
      CASE WHEN i % 2 = 0 THEN 'User number ' || i END,
      CASE WHEN i % 4 > 0 THEN '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$' || md5(i::text) END,
      (CASE WHEN i % 4 = 0 THEN 'google' ELSE 'email' END)::auth_provider_enum,
      CASE WHEN i % 4 = 0 THEN 'google-' || i END,
      now() - make_interval(mins => (i % 500000)::int)
    FROM generate_series(1, ${users}::bigint) AS i`,
  refresh_tokens: `INSERT INTO refresh_tokens (
      user_id, token_hash, expires_at, created_at, revoked_at, user_agent, ip_address
    )
    SELECT
      bench.user_id(1 + i % ${users}),
      bench.token_hash(i),
      CASE WHEN i % 10 = 0 THEN now() - interval '1 day' ELSE now() + interval '30 days' END,
      now() - make_interval(mins => (i % 40000)::int),
      CASE WHEN i % 10 = 1 THEN now() - interval '1 hour' END,
      'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      ('192.0.2.' || i % 250)::inet
    FROM generate_series(1, ${tokens}::bigint) AS i`,
  // The last two days, every other attempt of a user failed: the last day, which is asked for, has
  // about one failure of each user.
  login_attempts: `INSERT INTO login_attempts (
      user_id, email, ip_address, user_agent, success, failure_reason, attempted_at
    )
    SELECT
      bench.user_id(1 + i % ${users}),
      'User.' || 1 + i % ${users} || '@example.com',
      ('192.0.2.' || i % 250)::inet,
      'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      i / ${users} % 2 = 1,
      CASE WHEN i / ${users} % 2 = 0 THEN 'wrong password' END,
      now() - make_interval(mins => (i % 2880)::int)
    FROM generate_series(1, ${attempts}::bigint) AS i`,
})

/** Fills the tables. Vacuums come from the benchmark between rounds, not in the middle of a run. */
export const fill = (size: Size): ReadonlyArray<string> => [
  ...["users", "refresh_tokens", "login_attempts"].map((table) =>
    `ALTER TABLE ${table} SET (autovacuum_enabled = false)`
  ),
  ...Object.values(rows(size)),
  `VACUUM (ANALYZE) users, refresh_tokens, login_attempts`,
]

/** What each request of an operation uses up, and so what a run needs beforehand. */
export interface UsesUp {
  readonly what: "tokens" | "accounts"
  readonly perRequest: number
}

export const aToken: UsesUp = { what: "tokens", perRequest: 1 }
export const anAccount: UsesUp = { what: "accounts", perRequest: 1 }

/**
 * Live tokens for a run of requests each of which uses one up. Their ids lie side by side, as those
 * of tokens do that were made at about one time.
 */
const prepareTokens = (size: Size, run: number, count: number): string =>
  `INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at, user_agent)
    SELECT
      bench.new_token_id(),
      bench.user_id(1 + i * 7919 % ${size.users}),
      bench.prepared_token_hash(${run}, i),
      '2099-01-01 00:00:00+00',
      '${addedBy}'
    FROM generate_series(0, ${count}::bigint - 1) AS i`

/**
 * Accounts for a run of requests each of which ends sessions of one: those of the data have as many
 * live tokens as other runs have left them, and there may be fewer accounts than requests. Their
 * sessions have been refreshed before.
 */
const prepareAccounts = (run: number, count: number): ReadonlyArray<string> => [
  `INSERT INTO users (id, email, full_name, password_hash, auth_provider)
    SELECT
      bench.account_id(${run}, i),
      '${addedBy}.account.${run}.' || i || '@example.com',
      'Grace Hopper',
      '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$' || md5(i::text),
      'email'
    FROM generate_series(0, ${count}::bigint - 1) AS i`,
  `INSERT INTO refresh_tokens (
      id, user_id, token_hash, expires_at, user_agent, session_id, signed_in_at
    )
    SELECT
      bench.new_token_id(),
      bench.account_id(${run}, i),
      bench.session_token_hash(${run}, i, session),
      '2099-01-01 00:00:00+00',
      '${addedBy}',
      bench.session_id(${run}, i, session),
      now() - interval '1 hour'
    FROM
      generate_series(0, ${count}::bigint - 1) AS i,
      generate_series(0, ${sessionsOfAccount}::bigint - 1) AS session`,
]

/**
 * Takes away the failures that other operations have recorded a moment ago, more of them than a limit
 * allows; and what is left of those and of earlier logins, whose attempts were updated.
 */
const withoutFailures: ReadonlyArray<string> = [
  `DELETE FROM login_attempts
    WHERE user_agent = '${addedBy}' AND NOT success AND attempted_at > now() - interval '1 hour'`,
  `VACUUM login_attempts`,
]

/** What so many requests of an operation need in the tables; the run's number keeps it apart. */
export const prepare = (
  { usesUp, isLimited }: {
    readonly usesUp?: UsesUp | undefined
    readonly isLimited?: boolean | undefined
  },
  size: Size,
  run: number,
  requests: number,
): ReadonlyArray<string> => {
  if (isLimited) return withoutFailures
  if (usesUp === undefined) return []
  const { what, perRequest } = usesUp
  // What the last requests of a mix use up may be more than their share.
  const count = Math.ceil(requests * perRequest) + 3
  return what === "tokens" ? [prepareTokens(size, run, count)] : prepareAccounts(run, count)
}

/** Takes away what runs added, so that each round meets the same tables. */
export const cleanUp: ReadonlyArray<string> = [
  `DELETE FROM refresh_tokens WHERE user_agent = '${addedBy}'`,
  `DELETE FROM login_attempts WHERE user_agent = '${addedBy}'`,
  `DELETE FROM users WHERE email LIKE '${addedBy}.%'`,
  `VACUUM (ANALYZE) users, refresh_tokens, login_attempts`,
]
