/**
 * Lists of login attempts, the newest first, page by page.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import { LoginAttempt } from "../../domain/LoginAttempt.ts"
import type { Place } from "../../domain/Page.ts"
import { UserId, UserNotFound } from "../../domain/User.ts"
import { pageOf, startBefore } from "../keysetPagination.ts"
import { makeUserExists } from "../userExists.ts"
import type { Origin } from "./countLoginFailures.ts"
import { loginAttemptsTable } from "./loginAttemptsTable.ts"

export interface ListAttemptsOptions {
  readonly limit: number
  /** Where the list goes on: with older attempts than that. */
  readonly after?: Place | undefined
}

const PageStart = Schema.Struct({
  createdAt: Schema.String,
  id: Schema.String,
  limit: Schema.Number,
})

export const makeListLoginAttempts = (sql: SqlClient.SqlClient) => {
  const { columns } = loginAttemptsTable(sql)
  const userExists = makeUserExists(sql)

  const findPage = (isListed: Statement.Fragment, { limit, after }: ListAttemptsOptions) => {
    const find = SqlSchema.findAll({
      Request: PageStart,
      Result: LoginAttempt,
      execute: ({ createdAt, id, limit }) =>
        sql`
          SELECT ${columns}
          FROM public.login_attempts
          WHERE ${isListed} AND (attempted_at, id) < (${createdAt}::timestamptz, ${id}::uuid)
          ORDER BY attempted_at DESC, id DESC
          LIMIT ${limit}`,
    })
    return find({ ...startBefore(after), limit: limit + 1 }).pipe(
      retryRead(sql),
      interpretErrors(),
      Effect.map((rows) =>
        pageOf(rows, limit, ({ attemptedAt, id }) => ({ createdAt: attemptedAt, id }))
      ),
    )
  }

  const listForUser = Effect.fnUntraced(function* (userId: UserId, options: ListAttemptsOptions) {
    const page = yield* findPage(sql`user_id = ${userId}`, options)
    if (page.items.length === 0) {
      const user = yield* userExists(userId).pipe(retryRead(sql), interpretErrors())
      if (Option.isNone(user)) return yield* new UserNotFound()
    }
    return page
  })

  /** All attempts of an address; of a host the failures, since the index holds no others. */
  const listFrom = ({ email, ipAddress }: Origin, options: ListAttemptsOptions) => {
    const isFromHost = sql`ip_address = ${ipAddress ?? null}::inet`
    if (email === undefined) return findPage(sql`${isFromHost} AND NOT success`, options)
    const isOfAddress = sql`lower(email) = lower(${email} COLLATE "C")`
    return findPage(
      ipAddress === undefined ? isOfAddress : sql`${isOfAddress} AND ${isFromHost}`,
      options,
    )
  }

  return { listForUser, listFrom }
}
