import { Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { bounded, lockTimeoutIs } from "../database/LockWaits.ts"
import { UserId } from "../domain/User.ts"

/**
 * Makes a function that takes a user's row `FOR UPDATE` until the transaction ends, and gives none where
 * there is no such user. Nobody can give the user more tokens from then on: see docs/architecture.md,
 * "Order of locks".
 */
export const makeLockUser = (sql: SqlClient.SqlClient) =>
  SqlSchema.findOneOption({
    Request: Schema.Struct({ id: UserId }),
    Result: Schema.Struct({ id: UserId }),
    execute: bounded(({ id, lockTimeout }) =>
      sql`
        SELECT id
        FROM public.users
        WHERE id = ${id} AND ${lockTimeoutIs(sql, lockTimeout)}
        FOR UPDATE`
    ),
  })
