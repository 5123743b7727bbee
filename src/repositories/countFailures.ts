/**
 * Counters of failed login attempts; counts that are asked for together share one statement.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import * as Batcher from "../database/Batcher.ts"
import { interpretErrors } from "../database/Constraints.ts"
import { prepared } from "../database/prepared.ts"
import { Email } from "../domain/Email.ts"
import type { IpAddress } from "../domain/IpAddress.ts"
import { orNull } from "../domain/orNull.ts"
import { StoredUserId, UserNotFound } from "../domain/User.ts"
import { retryRead } from "./retryRead.ts"

/** Whose failures are counted: those with this address, from this host, or both at once. */
export type Origin =
  | { readonly email: Email; readonly ipAddress?: IpAddress | undefined }
  | { readonly email?: undefined; readonly ipAddress: IpAddress }

const UserWindow = Schema.Struct({ userId: StoredUserId, minutes: Schema.Number })
type UserWindow = typeof UserWindow.Type

const Count = Schema.Struct({ count: Schema.Number })

export const makeFailureCounters = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  // Both ends of the window are rounded as attempted_at was when it was stored.
  const isRecentFailure = sql.literal(`
    NOT success
    AND attempted_at >= (now() - make_interval(mins => minutes))::timestamptz(3)
    AND attempted_at <= now()::timestamptz(3)`)

  const failures = sql`(
    SELECT count(*)::int
    FROM public.login_attempts
    WHERE user_id = users.id AND ${isRecentFailure}
  )`

  // PostgreSQL counts for one user in less time than for an array of one.
  const countUser = SqlSchema.findOneOption({
    Request: UserWindow,
    Result: Count,
    execute: prepared<typeof UserWindow.Encoded>(sql)`
      SELECT ${failures} AS count
      FROM (VALUES (${"userId"}::uuid, ${"minutes"}::int)) AS asked (user_id, minutes)
      JOIN public.users ON users.id = asked.user_id`,
  })

  const countUsers = SqlSchema.findAll({
    Request: Schema.Struct({
      userIds: Schema.Array(StoredUserId),
      minutes: Schema.Array(Schema.Number),
    }),
    Result: Schema.Struct({ position: Schema.Number, ...Count.fields }),
    execute: ({ userIds, minutes }) =>
      sql`
        SELECT position::int, ${failures} AS count
        FROM unnest(${userIds}::uuid[], ${minutes}::int[]) WITH ORDINALITY
          AS asked (user_id, minutes, position)
        JOIN public.users ON users.id = asked.user_id`,
  })

  const countEach = Effect.fnUntraced(
    function* (windows: ReadonlyArray<UserWindow>) {
      const counted = yield* countUsers({
        userIds: windows.map(({ userId }) => userId),
        minutes: windows.map(({ minutes }) => minutes),
      })
      const counts = new Map(counted.map(({ position, count }) => [position - 1, count]))
      return windows.map((_, index) =>
        Option.some(Effect.succeed(Option.fromUndefinedOr(counts.get(index))))
      )
    },
    retryRead(sql),
    interpretErrors(),
  )

  const countAlone = (window: UserWindow) =>
    Effect.map(countUser(window), Option.map(({ count }) => count)).pipe(
      retryRead(sql),
      interpretErrors(),
    )

  const findCount = yield* Batcher.make({
    sql,
    name: "LoginAttemptRepository.countRecentFailures",
    alone: countAlone,
    together: countEach,
  })

  const countFrom = SqlSchema.findOne({
    Request: Schema.Struct({
      email: orNull(Email),
      ipAddress: orNull(Schema.String),
      minutes: Schema.Number,
    }),
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
          isRecentFailure,
        ])
      }`,
  })

  return {
    countByUser: (window: UserWindow) =>
      Effect.flatMap(
        findCount(window),
        (count) => Option.isSome(count) ? Effect.succeed(count.value) : new UserNotFound(),
      ),
    countByOrigin: (origin: Origin, minutes: number) =>
      countFrom({
        email: origin.email ?? null,
        ipAddress: origin.ipAddress ?? null,
        minutes,
      }).pipe(
        Effect.catchTag("NoSuchElementError", Effect.die),
        Effect.map(({ count }) => count),
        retryRead(sql),
        interpretErrors(),
      ),
  }
})
