/**
 * Lists of a user's live sessions, page by page.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { Place } from "../../domain/Page.ts"
import { Session } from "../../domain/Session.ts"
import { UserId, UserNotFound } from "../../domain/User.ts"
import { pageOf, startAfter } from "../keysetPagination.ts"
import { makeUserExists } from "../userExists.ts"

export interface ListSessionsOptions {
  readonly limit: number
  readonly after?: Place | undefined
}

export const makeListSessions = (sql: SqlClient.SqlClient) => {
  const userExists = makeUserExists(sql)

  const findPage = SqlSchema.findAll({
    Request: Schema.Struct({
      userId: UserId,
      createdAt: Schema.String,
      id: Schema.String,
      limit: Schema.Number,
    }),
    Result: Session,
    execute: ({ userId, createdAt, id, limit }) =>
      sql`
        SELECT
          session_id AS id,
          user_id AS "userId",
          signed_in_at AS "signedInAt",
          created_at AS "refreshedAt",
          latest_expiry AS "expiresAt",
          session_expires_at AS "sessionExpiresAt",
          user_agent AS "userAgent",
          abbrev(ip_address) AS "ipAddress"
        FROM (
          SELECT DISTINCT ON (COALESCE(session_id, id))
            COALESCE(session_id, id) AS session_id,
            user_id,
            COALESCE(signed_in_at, created_at) AS signed_in_at,
            created_at,
            max(expires_at) OVER (PARTITION BY COALESCE(session_id, id)) AS latest_expiry,
            session_expires_at,
            user_agent,
            ip_address
          FROM public.refresh_tokens
          WHERE user_id = ${userId} AND revoked_at IS NULL AND expires_at > now()
          ORDER BY COALESCE(session_id, id), created_at DESC, id DESC
        ) AS live
        WHERE (signed_in_at, session_id) > (${createdAt}::timestamptz, ${id}::uuid)
        ORDER BY signed_in_at, session_id
        LIMIT ${limit}`,
  })

  return Effect.fnUntraced(function* (userId: UserId, { limit, after }: ListSessionsOptions) {
    const rows = yield* findPage({ userId, ...startAfter(after), limit: limit + 1 }).pipe(
      retryRead(sql),
      interpretErrors(),
    )
    if (rows.length === 0) {
      const user = yield* userExists(userId).pipe(retryRead(sql), interpretErrors())
      if (Option.isNone(user)) return yield* new UserNotFound()
    }
    return pageOf(rows, limit, ({ signedInAt, id }) => ({ createdAt: signedInAt, id }))
  })
}
