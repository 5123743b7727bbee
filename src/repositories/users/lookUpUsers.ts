/**
 * Finding many users at once.
 */
import { Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { Email } from "../../domain/Email.ts"
import { type GoogleId, User, type UserId } from "../../domain/User.ts"
import { usersTable } from "../usersTable.ts"

/** By what users are looked up; what nobody has is left out. */
export type Lookup =
  | { readonly ids: ReadonlyArray<UserId> }
  | { readonly emails: ReadonlyArray<Email> }
  | { readonly googleIds: ReadonlyArray<GoogleId> }

export const makeLookUpUsers = (sql: SqlClient.SqlClient) => {
  const { columns } = usersTable(sql)

  const find = (isFound: (keys: ReadonlyArray<string>) => Statement.Fragment) =>
    SqlSchema.findAll({
      Request: Schema.Array(Schema.String),
      Result: User,
      execute: (keys) => sql`SELECT ${columns} FROM public.users WHERE ${isFound(keys)}`,
    })
  const findByIds = find((keys) => sql`id = ANY(${keys}::uuid[])`)
  const findByEmails = find((keys) => sql`lower(email) = ANY(${keys}::text[])`)
  const findByGoogleIds = find((keys) => sql`google_id = ANY(${keys}::text[])`)

  const rows = (lookup: Lookup) =>
    "ids" in lookup
      ? findByIds(lookup.ids)
      : "emails" in lookup
      ? findByEmails(lookup.emails.map((email) => email.toLowerCase()))
      : findByGoogleIds(lookup.googleIds)

  return (lookup: Lookup) => rows(lookup).pipe(retryRead(sql), interpretErrors())
}
