/**
 * Lists of a user's refresh tokens, page by page.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { Place } from "../../domain/Page.ts"
import { RefreshToken } from "../../domain/RefreshToken.ts"
import { UserId, UserNotFound } from "../../domain/User.ts"
import { nullable } from "../../schema/nullable.ts"
import { pageOf, startAfter } from "../keysetPagination.ts"
import { makeUserExists } from "../userExists.ts"
import { refreshTokensTable } from "./refreshTokensTable.ts"

/** Which tokens of a user: the valid ones, the others, or all. */
export interface ListOptions {
  readonly active?: boolean | undefined
  readonly limit: number
  readonly after?: Place | undefined
}

export const makeListRefreshTokens = (sql: SqlClient.SqlClient) => {
  const { columns } = refreshTokensTable(sql)

  const findPage = SqlSchema.findAll({
    Request: Schema.Struct({
      userId: UserId,
      active: nullable(Schema.Boolean),
      createdAt: Schema.String,
      id: Schema.String,
      limit: Schema.Number,
    }),
    Result: RefreshToken,
    execute: ({ userId, active, createdAt, id, limit }) =>
      sql`
        SELECT ${columns}
        FROM public.refresh_tokens
        WHERE
          user_id = ${userId}
          AND (created_at, id) > (${createdAt}::timestamptz, ${id}::uuid)
          ${
        active === null
          ? sql.literal("")
          : active
          ? sql.literal("AND revoked_at IS NULL AND expires_at > now()")
          : sql.literal("AND (revoked_at IS NOT NULL OR expires_at <= now())")
      }
        ORDER BY created_at, id
        LIMIT ${limit}`,
  })

  const userExists = makeUserExists(sql)

  return Effect.fnUntraced(function* (
    userId: UserId,
    { active, limit, after }: ListOptions,
  ) {
    const rows = yield* findPage({
      userId,
      active: active ?? null,
      ...startAfter(after),
      limit: limit + 1,
    }).pipe(retryRead(sql), interpretErrors())
    if (rows.length === 0) {
      const user = yield* userExists(userId).pipe(retryRead(sql), interpretErrors())
      if (Option.isNone(user)) return yield* new UserNotFound()
    }
    return pageOf(rows, limit, ({ createdAt, id }) => ({ createdAt, id }))
  })
}
