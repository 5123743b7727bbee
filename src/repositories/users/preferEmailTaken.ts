/**
 * A statement reports one violation; of two at once, callers are told of the address.
 */
import { Effect, Option, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import { Email } from "../../domain/Email.ts"
import { type CredentialsMissing, EmailTaken, type GoogleIdTaken } from "../../domain/User.ts"

/** Why a user cannot be as it is wanted to be. */
export type Unacceptable = EmailTaken | GoogleIdTaken | CredentialsMissing

export type PreferEmailTaken = ReturnType<typeof makePreferEmailTaken>

/**
 * Makes a function for what writes the user `id` with an address:
 * `GoogleIdTaken` becomes `EmailTaken` where the address is taken as well.
 */
export const makePreferEmailTaken = (sql: SqlClient.SqlClient) => {
  /** The e-mail address of another user than this one. */
  const findTaken = SqlSchema.findOneOption({
    Request: Schema.Struct({ email: Email, id: Schema.String }),
    Result: Schema.Struct({ email: Schema.String }),
    execute: ({ email, id }) =>
      sql`
        SELECT email
        FROM public.users
        WHERE lower(email) = lower(${email} COLLATE "C") AND id <> ${id}::uuid`,
  })

  return <A>(
    written: Effect.Effect<A, Unacceptable | DatabaseUnavailable>,
    email: Email | undefined,
    id: string,
  ) =>
    Effect.catchTag(written, "GoogleIdTaken", (googleIdTaken) =>
      Effect.gen(function* () {
        if (email === undefined) return yield* googleIdTaken
        const taken = yield* findTaken({ email, id }).pipe(retryRead(sql), interpretErrors())
        return yield* Option.isSome(taken) ? new EmailTaken() : googleIdTaken
      }))
}
