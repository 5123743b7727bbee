/**
 * A statement reports one violation; of two at once, callers are told of the one that helps them.
 */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { interpretErrors } from "../../database/Constraints.ts"
import { retryRead } from "../../database/transactions.ts"
import type { DatabaseUnavailable } from "../../domain/DatabaseUnavailable.ts"
import { Email } from "../../domain/Email.ts"
import { type CredentialsMissing, EmailTaken, GoogleId, GoogleIdTaken } from "../../domain/User.ts"

/** Why a user cannot be as it is wanted to be. */
export type Unacceptable = EmailTaken | GoogleIdTaken | CredentialsMissing

export type TellClash = ReturnType<typeof makeTellClash>

/**
 * Makes a function for what writes the user `id` with an address and a Google id: where another account
 * has both, the error is `GoogleIdTaken`, since it is the same person's account; where another one has
 * the address, it is `EmailTaken`.
 */
export const makeTellClash = (sql: SqlClient.SqlClient) => {
  /** The owner of the address, if somebody else owns it, and whether the Google id is theirs as well. */
  const findOwner = SqlSchema.findAll({
    Request: Schema.Struct({ email: Email, googleId: GoogleId, id: Schema.String }),
    Result: Schema.Struct({ hasGoogleId: Schema.Boolean }),
    execute: ({ email, googleId, id }) =>
      sql`
        SELECT COALESCE(google_id = ${googleId}, false) AS "hasGoogleId"
        FROM public.users
        WHERE lower(email) = lower(${email} COLLATE "C") AND id <> ${id}::uuid`,
  })

  return <A>(
    written: Effect.Effect<A, Unacceptable | DatabaseUnavailable>,
    { email, googleId }: {
      readonly email?: Email | undefined
      readonly googleId?: GoogleId | null | undefined
    },
    id: string,
  ) => {
    const tell = (
      clash: EmailTaken | GoogleIdTaken,
    ): Effect.Effect<A, Unacceptable | DatabaseUnavailable> =>
      Effect.gen(function* () {
        if (email === undefined || googleId === undefined || googleId === null) return yield* clash
        const [owner] = yield* findOwner({ email, googleId, id }).pipe(
          retryRead(sql),
          interpretErrors(),
        )
        // The address is free again.
        if (owner === undefined && clash._tag === "EmailTaken") return yield* told
        if (owner === undefined) return yield* clash
        return yield* owner.hasGoogleId ? new GoogleIdTaken() : new EmailTaken()
      })
    const told: Effect.Effect<A, Unacceptable | DatabaseUnavailable> = Effect.catchTags(written, {
      EmailTaken: tell,
      GoogleIdTaken: tell,
    })
    return told
  }
}
