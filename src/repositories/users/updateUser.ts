/**
 * Changes of user accounts, and of the sessions that they are to end with.
 */
import { Effect, Option, Schema, Struct } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, userConstraints } from "../../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../../database/LockWaits.ts"
import { inTransaction, withSavepointOrRetry } from "../../database/transactions.ts"
import { credentialsChanged, type RevocationReason, type SessionId } from "../../domain/Session.ts"
import { User, UserId, Version } from "../../domain/User.ts"
import { nullable } from "../../schema/nullable.ts"
import { makeLockUser } from "../lockUser.ts"
import { makeRevokeLiveTokens } from "../revokeLiveTokens.ts"
import { usersTable } from "../usersTable.ts"
import type { TellClash } from "./tellClash.ts"

/** Which sessions end with a change. */
export interface RevokeSessions {
  /** Default `credentials-changed`. */
  readonly reason?: RevocationReason | undefined
  /** A session that goes on. */
  readonly exceptSessionId?: SessionId | undefined
}

type Changes = typeof User.update.Type
type Versions = ReadonlyArray<Version> | null

/** Makes the statement that changes a user. */
const makeChange = (sql: SqlClient.SqlClient) => {
  const users = usersTable(sql)
  const changeable = Struct.keys(User.update.fields).map((name) =>
    [name, users.column(name)] as const
  )

  return SqlSchema.findOneOption({
    Request: Schema.Struct({
      id: UserId,
      changes: User.update,
      versions: nullable(Schema.Array(Version)),
    }),
    Result: User,
    execute: bounded(({ id, changes, versions, lockTimeout }) => {
      // An address is verified, not the account: another one is not, unless the caller says so.
      const otherwise = (name: keyof typeof changes) =>
        name === "emailVerifiedAt" && changes.email !== undefined
          ? sql`
            CASE WHEN lower(email) = lower(${changes.email} COLLATE "C") THEN email_verified_at END`
          : users.column(name)
      // Every column each time: whatever is changed, it is one of few prepared statements.
      const changed = changeable.map(([name, column]) =>
        sql`${column} = CASE WHEN ${name in changes} THEN ${changes[name] ?? null} ELSE ${
          otherwise(name)
        } END`
      )
      return sql`
        UPDATE public.users
        SET ${sql.join(", ", false)(changed)}
        WHERE
          id = ${id}
          AND (${versions}::text[] IS NULL OR version::text = ANY(${versions}))
          AND ${lockTimeoutIs(sql, lockTimeout)}
        RETURNING ${users.columns}`
    }),
  })
}

/** Makes a function that gives none when there is no such user in one of the versions; null is any. */
export const makeUpdateUser = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  tellClash: TellClash,
) {
  const change = makeChange(sql)
  const lockUser = makeLockUser(sql)
  const revokeLiveTokens = makeRevokeLiveTokens(sql)
  const changeUser = (id: UserId, changes: Changes, versions: Versions) =>
    change({ id, changes, versions }).pipe(
      withSavepointOrRetry(sql),
      interpretErrors(userConstraints),
    )

  // The user's row first, and the tokens when it is held; see docs/architecture.md, "Order of locks".
  const changeAndRevoke = Effect.fnUntraced(
    function* (
      id: UserId,
      changes: Changes,
      versions: Versions,
      { reason = credentialsChanged, exceptSessionId }: RevokeSessions,
    ) {
      yield* lockUser({ id })
      const changed = yield* changeUser(id, changes, versions)
      if (Option.isSome(changed)) {
        yield* revokeLiveTokens({ userId: id, reason, exceptSessionId })
      }
      return changed
    },
    inTransaction(sql),
    interpretErrors(),
  )

  const waitFor = yield* makeWaitFor(sql)

  return (
    id: UserId,
    changes: Changes,
    versions: Versions,
    revokeSessions: RevokeSessions | undefined,
  ) =>
    tellClash(
      waitFor(
        id,
        revokeSessions === undefined
          ? changeUser(id, changes, versions)
          : changeAndRevoke(id, changes, versions, revokeSessions),
      ),
      changes,
      id,
    )
})
