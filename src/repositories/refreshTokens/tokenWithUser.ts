/**
 * Refresh tokens together with their users, read in one statement.
 */
import { Schema, SchemaGetter } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { RefreshToken } from "../../domain/RefreshToken.ts"
import { User } from "../../domain/User.ts"
import { columnsIn } from "../describeTable.ts"
import { userPrefix, usersTable } from "../usersTable.ts"
import { refreshTokensTable } from "./refreshTokensTable.ts"

/** How statements give tokens: by themselves, or with their users. */
export interface TokenShape<Row> {
  readonly row: Schema.ConstraintDecoder<Row>
  /** What is read from: `refresh_tokens`, or that and what belongs to it. */
  readonly name: Statement.Fragment
  readonly columns: Statement.Fragment
  /** What follows the common table expressions of a statement that ends in this insertion of a token. */
  readonly afterInsertion: (insertion: Statement.Fragment) => Statement.Fragment
}

export const tokenAlone = (sql: SqlClient.SqlClient): TokenShape<RefreshToken> => {
  const { name, columns } = refreshTokensTable(sql)
  return { row: RefreshToken, name, columns, afterInsertion: (insertion) => insertion }
}

export interface TokenWithUser {
  readonly token: RefreshToken
  readonly user: User
}

const Parts = Schema.Struct({ token: RefreshToken, user: User })

const RowWithUser = Schema.ObjectKeyword.pipe(
  Schema.decodeTo(Parts, {
    // Each schema takes the properties that it knows of what PostgreSQL gave.
    decode: SchemaGetter.transform((row: object) =>
      ({ token: row, user: columnsIn(row, userPrefix) }) as typeof Parts.Encoded
    ),
    encode: SchemaGetter.forbidden(() => "Rows are only read"),
  }),
)

export const tokenWithUser = (sql: SqlClient.SqlClient): TokenShape<TokenWithUser> => {
  const tokens = refreshTokensTable(sql)
  const users = usersTable(sql)
  const userColumns = users.aliases(userPrefix)
  const owner = sql`(SELECT ${users.columns} FROM public.users) AS owner (${userColumns})`
  return {
    row: RowWithUser,
    name: sql`public.refresh_tokens JOIN ${owner} ON owner."user.id" = user_id`,
    columns: sql`${tokens.columns}, ${userColumns}`,
    afterInsertion: (insertion) =>
      sql`
        , created AS (${insertion})
        SELECT created.*, ${userColumns}
        FROM created
        JOIN ${owner} ON owner."user.id" = created."userId"`,
  }
}
