/**
 * The beginning of a sign-in: counted, held against limits and recorded in one transaction, before the
 * password is looked at. What is begun and never completed counts as a failure.
 *
 * Counters are locked by advisory locks, which are taken in the order of their keys before any row, and
 * held until the transaction ends: of many attempts at once exactly as many begin as a limit leaves,
 * also where each has other limits.
 *
 * Attempts that arrive together share one transaction, so that a counter of many, such as a host behind
 * which thousands of users sit, is locked once for all of them. A group waits for no counter: those
 * whose counters somebody else holds are left out of it, and wait together, and so does nobody for the
 * counter of another.
 */
import { Effect, Function, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import * as Batcher from "../../database/batching/Batcher.ts"
import { interpretErrors, isUndoneForARow } from "../../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor, makeWaitOneTurn } from "../../database/LockWaits.ts"
import { traced } from "../../database/traced.ts"
import { retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import { IdempotencyKeyReused } from "../../domain/IdempotencyKey.ts"
import {
  AttemptToBegin,
  ExceededLimit,
  FailureCountBy,
  LoginAttempt,
  type LoginAttemptId,
  TooManyFailures,
} from "../../domain/LoginAttempt.ts"
import { User } from "../../domain/User.ts"
import { StoredUuid } from "../../domain/Uuid.ts"
import { nullable } from "../../schema/nullable.ts"
import { columnsIn } from "../describeTable.ts"
import { fingerprintOf } from "../makeCreate.ts"
import { userPrefix, usersTable } from "../usersTable.ts"
import { uuidV7 } from "../uuidV7.ts"
import { loginAttemptsTable } from "./loginAttemptsTable.ts"

export interface BeginOptions {
  /** Becomes the attempt's id; the same call again gives the attempt as it is now. */
  readonly idempotencyKey?: LoginAttemptId | undefined
}

/** An attempt that has begun. */
export interface BegunAttempt {
  readonly attempt: LoginAttempt
  /** The account that has the address, with its credentials. */
  readonly user: Option.Option<User>
  /** By limit, how many failures there were before. */
  readonly counts: ReadonlyArray<FailureCountBy>
  /** Whether a sign-in with this address has succeeded from this host before. */
  readonly knownSource: boolean
}

const Input = Schema.Struct({
  ...AttemptToBegin.fields,
  id: StoredUuid,
  /** In hexadecimal digits. */
  fingerprint: nullable(Schema.String),
})

/** An attempt on its way, with the id that it will have. */
interface Call {
  readonly attempt: AttemptToBegin
  readonly id: string
  readonly fingerprint: Uint8Array | null
}

/** What became of a call. */
const Outcome = Schema.Union([
  Schema.Struct({
    outcome: Schema.Literal("begun"),
    counts: Schema.Array(FailureCountBy),
    knownSource: Schema.Boolean,
  }),
  Schema.Struct({ outcome: Schema.Literal("refused"), counts: Schema.Array(ExceededLimit) }),
  /** Another attempt has its id. */
  Schema.Struct({ outcome: Schema.Literal("exists") }),
  /** Somebody else holds one of its counters. */
  Schema.Struct({ outcome: Schema.Literal("contended") }),
])

/** Makes the statement that begins attempts; a migration says what its function does. */
const makeBegin = (sql: SqlClient.SqlClient) => {
  const attempts = loginAttemptsTable(sql)
  const users = usersTable(sql)
  const userColumns = users.aliases(userPrefix)

  return SqlSchema.findAll({
    Request: Schema.Struct({
      input: Schema.fromJsonString(Schema.Array(Input)),
      waits: Schema.Boolean,
    }),
    Result: Schema.ObjectKeyword,
    execute: bounded(({ input, waits, lockTimeout }) =>
      sql`
        SELECT begun.outcome, begun.counts, begun.known_source AS "knownSource", attempt.*, owner.*
        FROM
          public.begin_login_attempts(${input}::json, ${waits}) AS begun,
          LATERAL (SELECT ${attempts.columns} FROM (SELECT (begun.attempt).*) AS attempt) AS attempt,
          LATERAL (SELECT ${users.columns} FROM (SELECT (begun.owner).*) AS owner)
            AS owner (${userColumns})
        WHERE ${lockTimeoutIs(sql, lockTimeout)}
        ORDER BY begun.place`
    ),
  })
}

/** Makes the statement that reads an attempt which a request with a key has begun before. */
const makeFindBegun = (sql: SqlClient.SqlClient) => {
  const attempts = loginAttemptsTable(sql)
  const users = usersTable(sql)

  return SqlSchema.findOneOption({
    Request: Schema.Struct({
      id: StoredUuid,
      fingerprint: Schema.Uint8Array,
      limits: Schema.fromJsonString(AttemptToBegin.fields.limits),
    }),
    Result: Schema.ObjectKeyword,
    execute: ({ id, fingerprint, limits }) =>
      sql`
        WITH owner (${users.aliases(userPrefix)}) AS (
          SELECT ${users.columns} FROM public.users
          WHERE id = (SELECT user_id FROM public.login_attempts WHERE id = ${id}::uuid)
        )
        SELECT
          attempt.*,
          owner.*,
          'begun' AS outcome,
          EXISTS (
            SELECT
            FROM public.login_attempts AS earlier
            WHERE
              earlier.success
              AND lower(earlier.email) || ' ' || host(earlier.ip_address)
                = lower(attempt.email) || ' ' || attempt."ipAddress"
              AND (earlier.attempted_at, earlier.id) < (attempt."attemptedAt", attempt.id)
          ) AS "knownSource",
          (
            SELECT COALESCE(
              json_agg(
                json_build_object(
                  'by', by,
                  'minutes', minutes,
                  'failures', failures,
                  'count', (
                    SELECT login_failures.failures
                    FROM public.login_failures(
                      by,
                      lower(attempt.email),
                      attempt."ipAddress"::inet,
                      attempt."attemptedAt" - make_interval(mins => minutes),
                      failures,
                      attempt."attemptedAt",
                      attempt.id
                    )
                  )
                )
              ),
              '[]'
            )
            FROM json_to_recordset(${limits}::json)
              AS limits (by text, failures integer, minutes integer)
          ) AS counts
        FROM (
          SELECT
            ${attempts.columns},
            COALESCE(idempotency_fingerprint = ${fingerprint}, false) AS same
          FROM public.login_attempts
          WHERE id = ${id}::uuid
        ) AS attempt
        LEFT JOIN owner ON owner."user.id" = attempt."userId"`,
  })
}

const decodeOutcome = Schema.decodeUnknownEffect(Outcome)
const decodeAttempt = Schema.decodeUnknownEffect(LoginAttempt)
const decodeUser = Schema.decodeUnknownEffect(User)

/** The answer to a call by its row; none where another attempt has the id. */
const decodeRow = Effect.fnUntraced(function* (row: object) {
  const decided = yield* decodeOutcome(row)
  if (decided.outcome === "refused") return yield* new TooManyFailures({ limits: decided.counts })
  if (decided.outcome !== "begun") return Option.none()
  const user = columnsIn(row, userPrefix)
  return Option.some(
    {
      attempt: yield* decodeAttempt(row),
      user: user["id"] === null ? Option.none() : Option.some(yield* decodeUser(user)),
      counts: decided.counts,
      knownSource: decided.knownSource,
    } satisfies BegunAttempt,
  )
})

const newCall = (attempt: AttemptToBegin): Call => ({ attempt, id: uuidV7(), fingerprint: null })

const toInput = ({ attempt, id, fingerprint }: Call): typeof Input.Type => ({
  ...attempt,
  id,
  fingerprint: fingerprint === null ? null : Buffer.from(fingerprint).toString("hex"),
})

const isContended = (row: object) => "outcome" in row && row.outcome === "contended"

export const makeBeginLoginAttempt = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const beginAll = makeBegin(sql)
  const findBegun = makeFindBegun(sql)
  const interpret = interpretErrors()
  const encode = Schema.encodeEffect(AttemptToBegin)
  const waitFor = yield* makeWaitFor(sql)
  const waitOneTurn = yield* makeWaitOneTurn

  const beginTogether = (calls: ReadonlyArray<Call>, waits: boolean) =>
    withSavepointOrRetry(sql)(beginAll({ input: calls.map(toInput), waits }))

  const decode = (row: object) => interpret(decodeRow(row))
  const decodeNew = (row: object) => Effect.map(decode(row), Option.getOrThrow)

  const begin = (call: Call) =>
    beginTogether([call], true).pipe(
      interpret,
      Effect.flatMap(([row]) => row === undefined ? Effect.succeedNone : decode(row)),
    )

  const alone = (attempt: AttemptToBegin) => Effect.map(begin(newCall(attempt)), Option.getOrThrow)

  const together = (waits: boolean) => (attempts: ReadonlyArray<AttemptToBegin>) =>
    beginTogether(attempts.map(newCall), waits).pipe(
      // Undone for what one of them meets.
      Effect.catchIf(isUndoneForARow, () => Effect.succeed<ReadonlyArray<object>>([])),
      Effect.map((rows) =>
        rows.map((row) => isContended(row) ? Batcher.undone : Batcher.done(row))
      ),
      interpret,
    )

  const whenFree = yield* Batcher.make({
    sql,
    name: "LoginAttemptRepository.begin.waiting",
    reads: false,
    single: alone,
    batch: Function.flow(together(true), waitOneTurn("counters")),
    decode: decodeNew,
  })

  const inGroup = yield* Batcher.make({
    sql,
    name: "LoginAttemptRepository.begin",
    reads: false,
    single: whenFree,
    batch: together(false),
    decode: decodeNew,
  })

  const beginWithKey = Effect.fnUntraced(function* (attempt: AttemptToBegin, id: LoginAttemptId) {
    const fingerprint = fingerprintOf("begin", yield* Effect.orDie(encode(attempt)), new Set())
    const { limits } = attempt
    while (true) {
      const earlier = yield* interpret(retryRead(sql)(findBegun({ id, fingerprint, limits })))
      if (Option.isSome(earlier) && "same" in earlier.value && earlier.value.same !== true) {
        return yield* new IdempotencyKeyReused()
      }
      const begun = Option.isSome(earlier)
        ? yield* decode(earlier.value)
        : yield* begin({ attempt, id, fingerprint })
      if (Option.isSome(begun)) return begun.value
    }
  })

  return traced(
    "LoginAttemptRepository.begin",
    (attempt: AttemptToBegin, { idempotencyKey }: BeginOptions = {}) =>
      idempotencyKey === undefined
        ? waitFor(attempt.email, Effect.suspend(() => alone(attempt)), inGroup(attempt))
        : waitFor(attempt.email, beginWithKey(attempt, idempotencyKey)),
  )
})
