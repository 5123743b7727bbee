/**
 * Lists of user accounts, page by page.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { Email } from "../../domain/Email.ts"
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

  // Addresses are ASCII, whose last character is \x7f, and compared byte by byte.
  const findPageByEmail = SqlSchema.findAll({
    Request: Schema.Struct({
      prefix: Schema.String,
      after: Schema.String,
      limit: Schema.Number,
    }),
    Result: User,
    execute: ({ prefix, after, limit }) =>
      sql`
        SELECT ${columns}
        FROM public.users
        WHERE
          lower(email) >= ${prefix}
          AND lower(email) < ${`${prefix}\x7f`}
          AND lower(email) > ${after}
        ORDER BY lower(email)
        LIMIT ${limit}`,
  })

  /** Users whose addresses begin so, whatever the case, by address: no two have the same. */
  const listByEmail = Effect.fnUntraced(function* (
    prefix: string,
    { limit, after }: { readonly limit: number; readonly after?: Email | undefined },
  ) {
    const rows = yield* findPageByEmail({
      // As PostgreSQL's lower() by the collation "C": the Kelvin sign, say, is no k.
      prefix: prefix.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()),
      after: after?.toLowerCase() ?? "",
      limit: limit + 1,
    }).pipe(retryRead(sql), interpretErrors())
    const users = rows.slice(0, limit)
    return { users, next: rows.length > limit ? users.at(-1)?.email ?? null : null }
  })

  const list = Effect.fnUntraced(function* (
    { limit, after }: { readonly limit: number; readonly after?: Place | undefined },
  ) {
    const rows = yield* findPage({ ...startAfter(after), limit: limit + 1 }).pipe(
      retryRead(sql),
      interpretErrors(),
    )
    return pageOf(rows, limit, ({ createdAt, id }) => ({ createdAt, id }))
  })

  return { list, listByEmail }
}
