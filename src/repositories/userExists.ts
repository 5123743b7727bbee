import { Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { UserId } from "../domain/User.ts"

/** Finds out, where a list is empty, whether there is nobody whose list it could be. */
export const makeUserExists = (sql: SqlClient.SqlClient) =>
  SqlSchema.findOneOption({
    Request: UserId,
    Result: Schema.Struct({ id: UserId }),
    execute: (id) => sql`SELECT id FROM public.users WHERE id = ${id}`,
  })
