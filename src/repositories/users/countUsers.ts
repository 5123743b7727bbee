import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"

/** How many users are counted one by one, which takes some 10 ms; above that an estimate will do. */
const most = 100_000

export interface UserCount {
  readonly count: number
  readonly isExact: boolean
}

/** Makes a function that counts users, or gives PostgreSQL's estimate of very many. */
export const makeCountUsers = (sql: SqlClient.SqlClient) => {
  const estimate = SqlSchema.findOne({
    Request: Schema.Void,
    Result: Schema.Struct({ count: Schema.Number }),
    execute: () =>
      sql`
        SELECT reltuples::float8 AS count
        FROM pg_catalog.pg_class
        WHERE oid = 'public.users'::pg_catalog.regclass`,
  })

  const countAll = SqlSchema.findOne({
    Request: Schema.Void,
    Result: Schema.Struct({ count: Schema.Number }),
    execute: () => sql`SELECT count(*)::float8 AS count FROM public.users`,
  })

  return Effect.fnUntraced(
    function* (exact: boolean) {
      const estimated = yield* estimate()
      if (!exact && estimated.count > most) {
        return { count: estimated.count, isExact: false } satisfies UserCount
      }
      const { count } = yield* countAll()
      return { count, isExact: true } satisfies UserCount
    },
    Effect.catchTag("NoSuchElementError", Effect.die),
    retryRead(sql),
    interpretErrors(),
  )
}
