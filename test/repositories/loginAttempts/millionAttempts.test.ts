/**
 * What sign-ins read of a million attempts and a million users, a tenth of which are the failures of
 * one address, a tenth the sign-ins of a probe, and a tenth those of an office behind one host: by
 * index, and never more rows than a limit needs.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../../src/domain/Email.ts"
import { IpAddress } from "../../../src/domain/IpAddress.ts"
import { LoginAttemptRepository } from "../../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { UserRepository } from "../../../src/repositories/users/UserRepository.ts"
import { anAttemptToBegin, aToken } from "../../support/factories.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** Rows that are read besides what is counted: a user, the last success, what is written. */
const few = 100

/** Whose password is guessed from many hosts; one success, before all of the guesses. */
const victim = Email.make("victim@example.com")
/** It signs in every 26 seconds, nearly always with success. */
const probe = Email.make("probe@example.com")
const nobody = Email.make("nobody@example.com")
const office = IpAddress.make("203.0.113.7")
const guesser = IpAddress.make("198.51.100.9")
const probing = IpAddress.make("198.51.101.1")

const fill = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO users (id, email, auth_provider, google_id)
    SELECT lpad(number::text, 32, '0')::uuid, 'user-' || number || '@example.com', 'google', number
    FROM generate_series(1, 1000000) AS number`
  // Each kind goes back 30 days, the longest window of a limit.
  yield* sql`
    INSERT INTO login_attempts (email, ip_address, success, attempted_at)
    SELECT
      'user-' || number || '@example.com', '10.0.0.0'::inet + number % 50000, number % 3 = 0,
      now() - number * interval '3.7 seconds'
    FROM generate_series(1, 700000) AS number
    UNION ALL
    SELECT ${victim}, '198.51.100.0'::inet + number % 250, number = 100000,
      now() - number * interval '25.9 seconds'
    FROM generate_series(1, 100000) AS number
    UNION ALL
    SELECT ${probe}, ${probing}::inet, number % 1000 > 0, now() - number * interval '25.9 seconds'
    FROM generate_series(1, 100000) AS number
    UNION ALL
    SELECT 'user-' || number || '@example.com', ${office}::inet, number % 10 = 0,
      now() - number * interval '25.9 seconds'
    FROM generate_series(1, 100000) AS number`
  yield* sql`ANALYZE users, login_attempts`
})

const decodeReads = Schema.decodeUnknownEffect(
  Schema.Tuple([Schema.Struct({ scans: Schema.Number, rows: Schema.Number })]),
)

/** What this session has read of both tables since PostgreSQL took its counts last, between transactions. */
const countReads = SqlClient.SqlClient.use((sql) =>
  Effect.flatMap(
    sql`
      SELECT
        sum(seq_scan)::int AS scans,
        sum(seq_tup_read + COALESCE(idx_tup_fetch, 0))::int AS rows
      FROM pg_stat_xact_user_tables
      WHERE relname IN ('login_attempts', 'users')`,
    decodeReads,
  )
)

/** Makes a call with plans of a kind, and gives what its transaction has read of both tables. */
const readBy = Effect.fnUntraced(function* (
  call: Effect.Effect<unknown, unknown>,
  plans: "force_custom_plan" | "force_generic_plan",
) {
  const sql = yield* SqlClient.SqlClient
  return yield* Effect.gen(function* () {
    yield* sql`SELECT set_config('plan_cache_mode', ${plans}, true)`
    const [before] = yield* countReads
    yield* Effect.result(call)
    const [after] = yield* countReads
    return { scans: after.scans - before.scans, rows: after.rows - before.rows }
  }).pipe(sql.withTransaction)
})

/** Makes a call by its plans for these values, and by those for any; neither may read too much. */
const assertReads = Effect.fnUntraced(function* (
  call: Effect.Effect<unknown, unknown>,
  most: number,
  what: string,
) {
  for (const plans of ["force_custom_plan", "force_generic_plan"] as const) {
    const { scans, rows } = yield* readBy(call, plans)
    assert.strictEqual(scans, 0, `${what}, ${plans}`)
    assert.isAtMost(rows, most, `${what}, ${plans}`)
  }
})

const pairs = [victim, probe, nobody].flatMap((email) =>
  [office, guesser, probing].map((ipAddress) => ({ email, ipAddress }))
)

layer(Layer.effectDiscard(fill).pipe(Layer.provideMerge(TestDatabase.layerRepositories)), {
  timeout: 600_000,
})("among a million attempts", (it) => {
  it.effect.each(["email", "ipAddress", "ipPrefix", "emailAndIpAddress"] as const)(
    "what a limit by %s counts is read as far as it counts",
    (by) =>
      Effect.gen(function* () {
        const attempts = yield* LoginAttemptRepository
        for (const { email, ipAddress } of pairs) {
          for (const failures of [5, 100]) {
            const limits = [{ by, failures, minutes: 43_200 }]
            yield* assertReads(
              attempts.begin(anAttemptToBegin({ email, ipAddress, limits })),
              // Beyond a limit once more as far as it: to tell when that is over.
              2 * failures + 1_000 + few,
              `${email} from ${ipAddress}, ${failures}`,
            )
          }
        }
      }),
  )

  it.effect("whether a host is known is found by index", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      for (const { email, ipAddress } of pairs) {
        yield* assertReads(
          attempts.begin(anAttemptToBegin({ email, ipAddress })),
          few,
          `${email} from ${ipAddress}`,
        )
      }
    }))

  it.effect("an attempt is completed by its id", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      const users = yield* UserRepository
      const [user] = yield* users.lookup({ emails: [Email.make("user-4711@example.com")] })
      assert(user !== undefined)
      const login = Effect.flatMap(
        attempts.begin(anAttemptToBegin(user)),
        ({ attempt: { id } }) =>
          attempts.complete(id, {
            success: true,
            failureReason: null,
            refreshToken: aToken(user.id),
          }),
      )
      yield* assertReads(login, 4 * few, "a login")
    }))

  it.effect("users are found by addresses, and by how an address begins", () =>
    Effect.gen(function* () {
      const users = yield* UserRepository
      const emails = Array.from(
        { length: 500 },
        (_, index) => Email.make(`User-${index * 1999}@example.com`),
      )
      yield* assertReads(users.lookup({ emails }), 500 + few, "addresses")
      yield* assertReads(users.listByEmail("user-", { limit: 500 }), 501 + few, "many")
      const after = Email.make("user-771@example.com")
      yield* assertReads(users.listByEmail("user-77", { limit: 50, after }), 51 + few, "continued")
    }))

  it.effect("the newest attempts are found by index", () =>
    Effect.gen(function* () {
      const attempts = yield* LoginAttemptRepository
      for (const origin of [{ email: victim }, { email: probe }, { ipAddress: office }]) {
        yield* assertReads(
          attempts.listFrom(origin, { limit: 500 }),
          501 + few,
          JSON.stringify(origin),
        )
      }
    }))
})
