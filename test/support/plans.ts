/**
 * What PostgreSQL would do for a statement on tables of many rows.
 */
import { Effect, Exit, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { TokenHash } from "../../src/domain/RefreshToken.ts"
import { GoogleId, UserId } from "../../src/domain/User.ts"
import type { Compiled } from "./Statements.ts"

export const userId = (number: number) =>
  UserId.make(`00000000-0000-0000-0000-${String(number).padStart(12, "0")}`)
export const email = (number: number) => Email.make(`user-${number}@example.com`)
export const googleId = (number: number) => GoogleId.make(`google-${number}`)
export const tokenHash = (number: number) => TokenHash.make(`hash-${number}`)

/**
 * So many users with two tokens and two attempts each: one token of four is live, and an attempt of
 * the last day fails. Ids, hashes and addresses are made of the user's number, by the functions above.
 */
export const fill = Effect.fnUntraced(function* (users: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO users (id, email, auth_provider, google_id, created_at)
    SELECT
      lpad(number::text, 32, '0')::uuid, 'user-' || number || '@example.com', 'google',
      'google-' || number, now() - number * interval '1 minute'
    FROM generate_series(1, ${users}::int) AS number`
  yield* sql`
    INSERT INTO refresh_tokens (user_id, token_hash, created_at, expires_at, revoked_at)
    SELECT
      lpad((number % ${users}::int + 1)::text, 32, '0')::uuid, 'hash-' || number,
      now() - number * interval '1 minute',
      now() + (number % 60 - 30) * interval '1 day',
      CASE WHEN number % 2 = 0 THEN now() END
    FROM generate_series(1, 2 * ${users}::int) AS number`
  yield* sql`
    INSERT INTO login_attempts (user_id, email, ip_address, success, attempted_at)
    SELECT
      lpad((number % ${users}::int + 1)::text, 32, '0')::uuid,
      'user-' || (number % ${users}::int + 1) || '@example.com',
      '10.0.0.0'::inet + number % 50000, number % 3 = 0, now() - number * interval '1 minute'
    FROM generate_series(1, 2 * ${users}::int) AS number`
  yield* sql`ANALYZE users, refresh_tokens, login_attempts`
})

const Explanation = Schema.Tuple([
  Schema.Struct({ "QUERY PLAN": Schema.Tuple([Schema.Struct({ Plan: Schema.Unknown })]) }),
])

/** The tables that a plan reads from end to end. */
export const tableScans = (plan: unknown): ReadonlyArray<string> => {
  const scans = JSON.stringify(plan).matchAll(/"Node Type":"Seq Scan".*?"Relation Name":"(\w+)"/g)
  return Array.from(scans, ([, table = ""]) => table)
}

/** The indexes by which a plan finds rows. */
export const indexScans = (plan: unknown): ReadonlyArray<string> => {
  const scans = JSON.stringify(plan).matchAll(/"Index Name":"(\w+)"/g)
  return Array.from(scans, ([, index = ""]) => index)
}

/**
 * The plan that the server makes for these values, and the one that it keeps for a prepared
 * statement after a few executions, whatever the values.
 */
export const plansOf = Effect.fnUntraced(function* ([statement, parameters]: Compiled) {
  const sql = yield* SqlClient.SqlClient
  const decode = Schema.decodeUnknownEffect(Explanation)
  const name = sql(`plan_${crypto.randomUUID()}`)
  const nulls = parameters.length === 0 ? "" : `(${parameters.map(() => "NULL").join(", ")})`
  return yield* Effect.gen(function* () {
    const custom = yield* sql.unsafe(`EXPLAIN (FORMAT JSON) ${statement}`, parameters)
    yield* sql`SET LOCAL plan_cache_mode = force_generic_plan`
    yield* sql`PREPARE ${name} AS ${sql.literal(statement)}`
    const generic = yield* sql`EXPLAIN (FORMAT JSON) EXECUTE ${name} ${sql.literal(nulls)}`
    return [yield* decode(custom), yield* decode(generic)]
  }).pipe(sql.withTransaction)
})

/** Which statements of a call read a whole table, and which table. */
export const wholeTableReads = Effect.fnUntraced(function* (
  call: string,
  statements: Iterable<Compiled>,
) {
  const found: Array<string> = []
  for (const statement of statements) {
    const scans = (yield* plansOf(statement)).flatMap(tableScans)
    if (scans.length > 0) found.push(`${call} scans ${scans}: ${statement[0]}`)
  }
  return found
})

/** Which statements of a call find a table or a type only by the session's `search_path`. */
export const unqualifiedNames = Effect.fnUntraced(function* (
  call: string,
  statements: Iterable<Compiled>,
) {
  const sql = yield* SqlClient.SqlClient
  const found: Array<string> = []
  for (const [text, parameters] of statements) {
    const explained = yield* sql`SET LOCAL search_path = ''`.pipe(
      Effect.andThen(sql.unsafe(`EXPLAIN ${text}`, parameters)),
      sql.withTransaction,
      Effect.exit,
    )
    if (Exit.isFailure(explained)) found.push(`${call}: ${text}`)
  }
  return found
})
