/**
 * `pgbench -M prepared` with the service's own statements, one a request and no HTTP: what a server
 * that sends one statement per request could reach at most.
 */
import { Effect } from "effect"
import { cache } from "./contestants.ts"
import { addedBy, type Size } from "./data.ts"
import { Failure } from "./Failure.ts"
import { output } from "./shell.ts"

const users = `id, email, full_name AS "fullName", password_hash AS "passwordHash",
  auth_provider AS "authProvider", google_id AS "googleId", is_active AS "isActive",
  created_at AS "createdAt", updated_at AS "updatedAt", version::text AS version`

const tokens = `id, user_id AS "userId", token_hash AS "tokenHash", expires_at AS "expiresAt",
  created_at AS "createdAt", revoked_at AS "revokedAt", user_agent AS "userAgent",
  abbrev(ip_address) AS "ipAddress", successor_id AS "successorId",
  revoked_at IS NULL AND expires_at > now() AS "wasValid"`

const attempts = `id, user_id AS "userId", email, abbrev(ip_address) AS "ipAddress",
  user_agent AS "userAgent", success, failure_reason AS "failureReason",
  attempted_at AS "attemptedAt"`

/** Unique in a run: each client counts from 0, and its variables outlive a transaction. */
const next = String.raw`\set i :client_id + :n * :clients
\set n :n + 1`
const randomUser = String.raw`\set user random(1, :users)`

const scripts: Record<string, string> = {
  "user by id": `${randomUser}
    SELECT ${users} FROM users WHERE id = bench.user_id(:user);`,

  "user by email": `${randomUser}
    SELECT ${users} FROM users
    WHERE lower(email) = lower('user.' || :user::int || '@example.com' COLLATE "C");`,

  "valid token": String.raw`\set token 10 * random(1, :tokens / 10 - 1) + 5
    SELECT ${tokens} FROM refresh_tokens
    WHERE
      token_hash = bench.token_hash(:token) AND revoked_at IS NULL AND expires_at > now();`,

  "recent failures": `${randomUser}
    SELECT (
      SELECT count(*)::int FROM login_attempts
      WHERE
        user_id = users.id
        AND NOT success
        AND attempted_at >= (now() - make_interval(mins => 1440))::timestamptz(3)
        AND attempted_at <= now()::timestamptz(3)
    ) AS count
    FROM users WHERE id = bench.user_id(:user);`,

  "create user": `${next}
    INSERT INTO users (
      id, email, full_name, password_hash, auth_provider, google_id, is_active,
      idempotency_fingerprint
    )
    VALUES (
      gen_random_uuid(),
      '${addedBy}.pgbench.' || :run::int || '.' || :i::int || '@example.com',
      'Grace Hopper',
      '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG',
      'email',
      NULL,
      true,
      NULL
    )
    RETURNING ${users};`,

  "create attempt": `${randomUser}
    INSERT INTO login_attempts (
      id, user_id, email, ip_address, user_agent, success, failure_reason, idempotency_fingerprint
    )
    VALUES (
      gen_random_uuid(),
      bench.user_id(:user),
      'user.' || :user::int || '@example.com',
      '198.51.100.7',
      '${addedBy}',
      false,
      'wrong password',
      NULL
    )
    RETURNING ${attempts};`,

  "create token": `${next}
    ${randomUser}
    WITH owner AS (SELECT id FROM users WHERE id = bench.user_id(:user) FOR KEY SHARE)
    INSERT INTO refresh_tokens (
      id, user_id, token_hash, expires_at, created_at, user_agent, ip_address,
      idempotency_fingerprint
    )
    SELECT
      gen_random_uuid(),
      wanted.user_id,
      rpad(:run::int || '-' || :i::int || '-', 64, '0123456789abcdef'),
      '2099-01-01 00:00:00+00'::timestamptz,
      clock_timestamp(),
      '${addedBy}',
      '198.51.100.7'::inet,
      NULL::bytea
    FROM (VALUES (bench.user_id(:user))) AS wanted (user_id)
    LEFT JOIN owner ON owner.id = wanted.user_id
    RETURNING ${tokens};`,

  "revoke": `${next}
    UPDATE refresh_tokens SET revoked_at = COALESCE(revoked_at, now())
    WHERE token_hash = bench.prepared_token_hash(:run, :i)
    RETURNING ${tokens};`,

  "rotate": `${next}
    WITH spent AS (
      UPDATE refresh_tokens
      SET revoked_at = clock_timestamp(), successor_id = gen_random_uuid()
      WHERE
        token_hash = bench.prepared_token_hash(:run, :i)
        AND revoked_at IS NULL
        AND expires_at > now()
        AND EXISTS (SELECT FROM users WHERE users.id = user_id FOR KEY SHARE)
      RETURNING user_id, successor_id
    )
    INSERT INTO refresh_tokens (
      id, user_id, token_hash, expires_at, created_at, user_agent, ip_address,
      idempotency_fingerprint
    )
    SELECT
      spent.successor_id,
      spent.user_id,
      rpad(:run::int || '-' || :i::int || '-', 64, '0123456789abcdef'),
      '2099-01-01 00:00:00+00'::timestamptz,
      clock_timestamp(),
      '${addedBy}',
      '198.51.100.7'::inet,
      NULL::bytea
    FROM spent
    RETURNING ${tokens};`,
}

export interface PgbenchRun {
  readonly url: URL
  readonly operation: string
  readonly connections: number
  readonly seconds: number
  readonly size: Size
  readonly run: number
}

/** It comes with a PostgreSQL server, which is not for a benchmark to install. */
export const version = output(["pgbench", "--version"]).pipe(
  Effect.mapError(() =>
    new Failure({ message: "it is not installed (Debian's package postgresql-contrib has it)" })
  ),
)

export const covers = (operation: string): boolean => operation in scripts

/** Requests per second and latencies in milliseconds. */
export const measure = Effect.fnUntraced(function* (
  { url, operation, connections, seconds, size, run }: PgbenchRun,
) {
  const directory = yield* Effect.promise(() => Deno.makeTempDir({ dir: cache }))
  return yield* Effect.gen(function* () {
    const script = `${directory}/script.sql`
    yield* Effect.promise(() => Deno.writeTextFile(script, scripts[operation]!))
    const variables = { n: 0, run, clients: connections, users: size.users, tokens: size.tokens }
    const text = yield* output([
      "pgbench",
      "--no-vacuum",
      "--protocol=prepared",
      `--file=${script}`,
      `--client=${connections}`,
      `--jobs=${Math.min(connections, navigator.hardwareConcurrency)}`,
      // Its time begins before it has connected; its rate does not count that.
      `--time=${Math.ceil(seconds) + 1}`,
      ...Object.entries(variables).map(([name, value]) => `--define=${name}=${value}`),
      "--log",
      `--log-prefix=${directory}/transactions`,
      url.href,
    ])
    const rate = /^tps = ([\d.]+)/m.exec(text)
    if (rate === null) return yield* new Failure({ message: `pgbench printed: ${text}` })
    const latencies = (yield* Effect.promise(() => logged(directory))).sort()
    return {
      requestsPerSecond: Number(rate[1]),
      p50: latencies[Math.floor(latencies.length * 0.5)]! / 1000,
      p99: latencies[Math.floor(latencies.length * 0.99)]! / 1000,
      answered: latencies.length,
    }
  }).pipe(
    Effect.ensuring(Effect.promise(() => Deno.remove(directory, { recursive: true }))),
  )
})

/** The third column of each line of its log is a latency in microseconds. */
const logged = async (directory: string): Promise<Float64Array> => {
  const latencies: Array<number> = []
  for await (const { name } of Deno.readDir(directory)) {
    if (!name.startsWith("transactions")) continue
    for (const line of (await Deno.readTextFile(`${directory}/${name}`)).split("\n")) {
      if (line !== "") latencies.push(Number(line.split(" ")[2]))
    }
  }
  return Float64Array.from(latencies)
}
