/**
 * Counters of failed login attempts. Counts that are asked for together share one statement, which
 * looks at so few attempts of each that none of them holds up the others; where there are more, they
 * are counted by a statement of their own.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import * as Batcher from "../../database/batching/Batcher.ts"
import { interpretErrors } from "../../database/Constraints.ts"
import { makeLongRead } from "../../database/longRead.ts"
import { prepared } from "../../database/prepared.ts"
import { retryRead, whenInTransaction } from "../../database/transactions.ts"
import { Email } from "../../domain/Email.ts"
import type { IpAddress } from "../../domain/IpAddress.ts"
import { StoredUserId, UserNotFound } from "../../domain/User.ts"
import { nullable } from "../../schema/nullable.ts"

/** Whose failures are counted: those with this address, from this host, or both at once. */
export type Origin =
  | { readonly email: Email; readonly ipAddress?: IpAddress | undefined }
  | { readonly email?: undefined; readonly ipAddress: IpAddress }

const UserWindow = Schema.Struct({ userId: StoredUserId, minutes: Schema.Number })
type UserWindow = typeof UserWindow.Type

const OriginWindow = Schema.Struct({
  email: nullable(Email),
  ipAddress: nullable(Schema.String),
  minutes: Schema.Number,
})
type OriginWindow = typeof OriginWindow.Type

const Count = Schema.Struct({ count: Schema.Number })

/** Null where there are more attempts than a statement looks at that others wait for. */
const CountOfFew = Schema.Struct({ count: nullable(Schema.Number) })

/** Both ends of the window are rounded as attempted_at was when it was stored. */
const isRecent = (sql: SqlClient.SqlClient) =>
  sql.literal(`
    attempted_at >= (now() - make_interval(mins => minutes))::timestamptz(3)
    AND attempted_at <= now()::timestamptz(3)`)

/**
 * The number of the recent attempts that fail, of those that the index finds, if these are at most 200:
 * 128 counts of a group look at 25,600 then, which takes some 10 ms.
 */
const countOfFew = (
  sql: SqlClient.SqlClient,
  isFound: Statement.Fragment,
  isFailure: Statement.Fragment,
) =>
  sql`(
    SELECT CASE
      WHEN count(*) <= 200
      THEN (count(*) FILTER (WHERE ${isFailure}))::int
    END
    FROM (
      SELECT success, ip_address
      FROM public.login_attempts
      WHERE ${isFound} AND ${isRecent(sql)}
      LIMIT 201
    ) AS found
  )`

const makeCountByUser = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const fewOfUser = countOfFew(sql, sql.literal("user_id = users.id"), sql.literal("NOT success"))

  // PostgreSQL counts for one user in less time than for an array of one.
  const countFewOfUser = SqlSchema.findOneOption({
    Request: UserWindow,
    Result: CountOfFew,
    execute: prepared<typeof UserWindow.Encoded>(sql)`
      SELECT ${fewOfUser} AS count
      FROM (VALUES (${"userId"}::uuid, ${"minutes"}::int)) AS asked (user_id, minutes)
      JOIN public.users ON users.id = asked.user_id`,
  })

  const countFewOfUsers = SqlSchema.findAll({
    Request: Schema.Struct({
      userIds: Schema.Array(StoredUserId),
      minutes: Schema.Array(Schema.Number),
    }),
    Result: Schema.Struct({ position: Schema.Number, ...CountOfFew.fields }),
    execute: ({ userIds, minutes }) =>
      sql`
        SELECT position::int, ${fewOfUser} AS count
        FROM unnest(${userIds}::uuid[], ${minutes}::int[]) WITH ORDINALITY
          AS asked (user_id, minutes, position)
        JOIN public.users ON users.id = asked.user_id`,
  })

  const countAllOfUser = SqlSchema.findOneOption({
    Request: UserWindow,
    Result: Count,
    execute: ({ userId, minutes }) =>
      sql`
        SELECT (
          SELECT count(*)::int
          FROM public.login_attempts
          WHERE user_id = users.id AND NOT success AND ${isRecent(sql)}
        ) AS count
        FROM (VALUES (${userId}::uuid, ${minutes}::int)) AS asked (user_id, minutes)
        JOIN public.users ON users.id = asked.user_id`,
  })

  const countEach = Effect.fnUntraced(
    function* (windows: ReadonlyArray<UserWindow>) {
      const counted = yield* countFewOfUsers({
        userIds: windows.map(({ userId }) => userId),
        minutes: windows.map(({ minutes }) => minutes),
      })
      const counts = new Map(counted.map(({ position, count }) => [position - 1, { count }]))
      return windows.map((_, index) => Batcher.done(Option.fromUndefinedOr(counts.get(index))))
    },
    retryRead(sql),
    interpretErrors(),
  )

  const findCountOfFew = yield* Batcher.make({
    sql,
    name: "LoginAttemptRepository.countRecentFailures",
    reads: true,
    single: (window: UserWindow) => countFewOfUser(window).pipe(retryRead(sql), interpretErrors()),
    batch: countEach,
    decode: Effect.succeed,
  })

  const countAll = (window: UserWindow) =>
    countAllOfUser(window).pipe(retryRead(sql), interpretErrors())

  const countAllShared = yield* makeLongRead(countAll)

  return Effect.fnUntraced(function* (window: UserWindow) {
    const ofFew = yield* findCountOfFew(window)
    const found = Option.isSome(ofFew) && ofFew.value.count === null
      ? yield* whenInTransaction(sql, {
        inside: () => countAll(window),
        outside: () => countAllShared(window),
      })
      : ofFew
    const count = Option.getOrNull(found)?.count
    return count ?? (yield* new UserNotFound())
  })
})

const makeCountByOrigin = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  // By the index that finds the fewest: the one of addresses holds successes as well.
  const countFewFrom = SqlSchema.findOne({
    Request: OriginWindow,
    Result: CountOfFew,
    execute: ({ email, ipAddress, minutes }) => {
      const counted = email === null
        ? countOfFew(
          sql,
          sql`ip_address = ${ipAddress}::inet AND NOT success`,
          sql.literal("true"),
        )
        : countOfFew(
          sql,
          sql`lower(email) = lower(${email} COLLATE "C")`,
          sql`NOT success AND (${ipAddress}::inet IS NULL OR ip_address = ${ipAddress}::inet)`,
        )
      return sql`
        SELECT ${counted} AS count
        FROM (VALUES (${minutes}::int)) AS asked (minutes)`
    },
  })

  const countAllFrom = SqlSchema.findOne({
    Request: OriginWindow,
    Result: Count,
    execute: ({ email, ipAddress, minutes }) =>
      sql`
        SELECT count(*)::int AS count
        FROM public.login_attempts
        CROSS JOIN (VALUES (${minutes}::int)) AS asked (minutes)
        WHERE ${
        sql.and([
          ...(email === null ? [] : [sql`lower(email) = lower(${email} COLLATE "C")`]),
          ...(ipAddress === null ? [] : [sql`ip_address = ${ipAddress}::inet`]),
          sql.literal("NOT success"),
          isRecent(sql),
        ])
      }`,
  })

  const countAll = (window: OriginWindow) =>
    countAllFrom(window).pipe(
      Effect.catchTag("NoSuchElementError", Effect.die),
      retryRead(sql),
      interpretErrors(),
    )

  const countAllShared = yield* makeLongRead(countAll)

  return Effect.fnUntraced(function* (origin: Origin, minutes: number) {
    const window = { email: origin.email ?? null, ipAddress: origin.ipAddress ?? null, minutes }
    const { count } = yield* countFewFrom(window).pipe(
      Effect.catchTag("NoSuchElementError", Effect.die),
      retryRead(sql),
      interpretErrors(),
    )
    if (count !== null) return count
    const all = yield* whenInTransaction(sql, {
      inside: () => countAll(window),
      outside: () => countAllShared(window),
    })
    return all.count
  })
})

export const makeFailureCounters = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  return {
    countByUser: yield* makeCountByUser(sql),
    countByOrigin: yield* makeCountByOrigin(sql),
  }
})
