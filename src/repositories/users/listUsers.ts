/**
 * Lists of user accounts, page by page.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { Place } from "../../domain/Page.ts"
import { User } from "../../domain/User.ts"
import { pageOf, startAfter } from "../keysetPagination.ts"
import { usersTable } from "../usersTable.ts"

export const makeListUsers = (sql: SqlClient.SqlClient) => {
  const { columns } = usersTable(sql)

  const findPage = SqlSchema.findAll({
    Request: Schema.Struct({
      createdAt: Schema.String,
      id: Schema.String,
      limit: Schema.Number,
    }),
    Result: User,
    execute: ({ createdAt, id, limit }) =>
      sql`
        SELECT ${columns}
        FROM public.users
        WHERE (created_at, id) > (${createdAt}::timestamptz, ${id}::uuid)
        ORDER BY created_at, id
        LIMIT ${limit}`,
  })

  return Effect.fnUntraced(function* (
    { limit, after }: { readonly limit: number; readonly after?: Place | undefined },
  ) {
    const rows = yield* findPage({ ...startAfter(after), limit: limit + 1 }).pipe(
      retryRead(sql),
      interpretErrors(),
    )
    return pageOf(rows, limit, ({ createdAt, id }) => ({ createdAt, id }))
  })
}
