/**
 * "Sign in with Google": the account of a Google id, created or linked where there is none yet.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors, userConstraints } from "../../database/Constraints.ts"
import { bounded, lockTimeoutIs, makeWaitFor } from "../../database/LockWaits.ts"
import { inTransaction, retryRead, withSavepointOrRetry } from "../../database/transactions.ts"
import { Email } from "../../domain/Email.ts"
import { credentialsChanged, UserInactive } from "../../domain/Session.ts"
import {
  EmailTaken,
  GoogleId,
  type OnEmailTaken,
  User,
  UserId,
  Version,
} from "../../domain/User.ts"
import { makeRevokeLiveTokens } from "../revokeLiveTokens.ts"
import { usersTable } from "../usersTable.ts"

/** What Google's ID token says of its holder, and what to do when another account has the address. */
export interface GoogleAccount {
  readonly email: Email
  /** `email_verified` of the ID token. */
  readonly emailVerified: boolean
  readonly fullName: (typeof User.insert.Type)["fullName"]
  readonly onEmailTaken: OnEmailTaken
}

export interface FromGoogle {
  readonly user: User
  readonly isNew: boolean
}

const makeStatements = (sql: SqlClient.SqlClient) => {
  const users = usersTable(sql)

  const findByGoogleId = SqlSchema.findOneOption({
    Request: GoogleId,
    Result: User,
    execute: (googleId) =>
      sql`SELECT ${users.columns} FROM public.users WHERE google_id = ${googleId}`,
  })

  const findByEmail = SqlSchema.findOneOption({
    Request: Email,
    Result: User,
    execute: (email) =>
      sql`
        SELECT ${users.columns}
        FROM public.users
        WHERE lower(email) = lower(${email} COLLATE "C")`,
  })

  // What conflicts is looked at afterwards: with the Google id it is the user, with the address another.
  const insert = SqlSchema.findOneOption({
    Request: Schema.Struct({
      googleId: GoogleId,
      email: Email,
      emailVerified: Schema.Boolean,
      fullName: User.insert.fields.fullName,
    }),
    Result: User,
    execute: bounded(({ googleId, email, emailVerified, fullName, lockTimeout }) =>
      sql`
        INSERT INTO public.users (auth_provider, google_id, email, email_verified_at, full_name)
        SELECT
          'google',
          ${googleId},
          ${email},
          CASE WHEN ${emailVerified} THEN now() END,
          ${fullName ?? null}
        WHERE ${lockTimeoutIs(sql, lockTimeout)}
        ON CONFLICT DO NOTHING
        RETURNING ${users.columns}`
    ),
  })

  // Only as long as the account is as it was when this was decided. An UPDATE of google_id takes the row
  // FOR UPDATE, and so waits for tokens that are being created, before any is revoked.
  const link = SqlSchema.findOneOption({
    Request: Schema.Struct({ id: UserId, version: Version, googleId: GoogleId }),
    Result: User,
    execute: bounded(({ id, version, googleId, lockTimeout }) =>
      sql`
        UPDATE public.users
        SET
          google_id = ${googleId},
          auth_provider = CASE WHEN email_verified_at IS NULL THEN 'google' ELSE auth_provider END,
          password_hash = CASE WHEN email_verified_at IS NOT NULL THEN password_hash END,
          email_verified_at = COALESCE(email_verified_at, now())
        WHERE
          id = ${id}
          AND version = ${version}::bigint
          AND ${lockTimeoutIs(sql, lockTimeout)}
        RETURNING ${users.columns}`
    ),
  })

  return { findByGoogleId, findByEmail, insert, link }
}

export const makeGetOrCreateByGoogleId = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const { findByGoogleId, findByEmail, insert, link } = makeStatements(sql)
  const revokeLiveTokens = makeRevokeLiveTokens(sql)
  const waitFor = yield* makeWaitFor(sql)

  /** Gives none when somebody has changed the account meanwhile, or another one got the Google id. */
  const linkOrTakeOver = Effect.fnUntraced(
    function* (user: User, googleId: GoogleId) {
      const linked = yield* link({ id: user.id, version: user.version, googleId })
      if (Option.isSome(linked) && user.emailVerifiedAt === null) {
        yield* revokeLiveTokens({ userId: user.id, reason: credentialsChanged })
      }
      return linked
    },
    inTransaction(sql),
    interpretErrors({ users_google_id_key: userConstraints.users_google_id_key }),
    Effect.catchTag("GoogleIdTaken", () => Effect.succeed(Option.none<User>())),
  )

  const getOrCreate = Effect.fnUntraced(function* (googleId: GoogleId, account: GoogleAccount) {
    const { email, emailVerified, fullName } = account
    while (true) {
      const found = yield* findByGoogleId(googleId).pipe(retryRead(sql), interpretErrors())
      if (Option.isSome(found)) return { user: found.value, isNew: false } satisfies FromGoogle
      const created = yield* insert({ googleId, email, emailVerified, fullName }).pipe(
        withSavepointOrRetry(sql),
        interpretErrors(),
      )
      if (Option.isSome(created)) return { user: created.value, isNew: true } satisfies FromGoogle
      const owner = yield* findByEmail(email).pipe(retryRead(sql), interpretErrors())
      // With the Google id it is the user, created meanwhile; with neither it is gone again.
      if (Option.isNone(owner) || owner.value.googleId === googleId) continue
      if (account.onEmailTaken === "refuse" || !emailVerified || owner.value.googleId !== null) {
        return yield* new EmailTaken()
      }
      if (!owner.value.isActive) return yield* new UserInactive({})
      const linked = yield* linkOrTakeOver(owner.value, googleId)
      if (Option.isSome(linked)) return { user: linked.value, isNew: false } satisfies FromGoogle
    }
  })

  return (googleId: GoogleId, account: GoogleAccount) =>
    waitFor(account.email, getOrCreate(googleId, account))
})
