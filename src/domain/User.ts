/**
 * User accounts, and what can go wrong with them.
 */
import { Effect, Schema } from "effect"
import { Model } from "effect/schema"
import { nullable, optionalAsNull } from "../schema/nullable.ts"
import { boundedText } from "../schema/Text.ts"
import { Email, StoredEmail } from "./Email.ts"
import { PasswordHash, StoredPasswordHash } from "./PasswordHash.ts"
import { StoredTimestamp, Timestamp } from "./Timestamp.ts"
import { StoredUuid, Uuid } from "./Uuid.ts"

export const UserId = Uuid.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

export const StoredUserId = StoredUuid.pipe(Schema.brand("UserId"))

/** How an account signs in; the labels of `auth_provider_enum`. */
export const AuthProvider = Schema.Literals(["email", "google"])
export type AuthProvider = typeof AuthProvider.Type

/** Google's `sub` claim: case-sensitive, at most 255 characters (OpenID Connect Core 1.0, 2). */
export const GoogleId = boundedText(255).pipe(Schema.brand("GoogleId"))
export type GoogleId = typeof GoogleId.Type

/** What becomes of a sign-in with Google whose e-mail address another account has. */
export const OnEmailTaken = Schema.Literals(["refuse", "link"])
export type OnEmailTaken = typeof OnEmailTaken.Type

const StoredGoogleId = Schema.String.pipe(Schema.brand("GoogleId"))

const FullName = boundedText(200)

/**
 * Which state of a row this is: another one after every change, whoever made it. Opaque: versions
 * can be compared for equality only.
 */
export const Version = Schema.String.pipe(Schema.brand("Version"))
export type Version = typeof Version.Type

/** A version as input: what never was one matches none. */
export const GivenVersion = boundedText(64).pipe(Schema.brand("Version"))

/** A column that always has a value. What is read is not held against the rules of input again. */
const requiredField = <Input extends Schema.Top, Stored extends Schema.Top>(
  input: Input,
  stored: Stored,
) =>
  Model.Field({
    select: stored,
    insert: input,
    update: Schema.optionalKey(input),
    json: stored,
  })

/** A column that may be null: absent and null mean the same on insert, null clears on update. */
const nullableField = <
  Input extends Schema.Top & Schema.WithoutConstructorDefault,
  Stored extends Schema.Top,
>(
  input: Input,
  stored: Stored,
) =>
  Model.Field({
    select: nullable(stored),
    insert: optionalAsNull(input),
    update: Schema.optionalKey(nullable(input)),
    json: nullable(stored),
  })

/**
 * A user account.
 *
 * `User` is a row, `User.insert` what creates one, `User.update` a change to one (what is absent
 * stays as it is), `User.json` what clients see: never the password hash. Rows are not held against
 * the limits of input again: the database has checked what must hold for every writer, and a row
 * written with psql must stay readable.
 */
export class User extends Model.Class<User>("User")({
  id: Model.GeneratedByDb(StoredUserId),
  email: requiredField(Email, StoredEmail),
  fullName: nullableField(FullName, Schema.String),
  passwordHash: Model.Field({
    select: nullable(StoredPasswordHash),
    insert: optionalAsNull(PasswordHash),
    update: Schema.optionalKey(nullable(PasswordHash)),
  }),
  authProvider: requiredField(AuthProvider, AuthProvider),
  googleId: nullableField(GoogleId, StoredGoogleId),
  isActive: Model.Field({
    select: Schema.Boolean,
    insert: Schema.Boolean.pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(true)),
      Schema.withConstructorDefault(Effect.succeed(true)),
    ),
    update: Schema.optionalKey(Schema.Boolean),
    json: Schema.Boolean,
  }),
  /** When the address was verified; null while it is not. */
  emailVerifiedAt: Model.Field({
    select: nullable(StoredTimestamp),
    insert: optionalAsNull(Timestamp),
    update: Schema.optionalKey(nullable(Timestamp)),
    json: nullable(Timestamp),
  }),
  createdAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
  updatedAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
  version: Model.Field({ select: Version }),
}) {}

/** No user has this id. */
export class UserNotFound extends Schema.TaggedError<UserNotFound>()("UserNotFound", {}) {
  override readonly message = "There is no such user"
}

/** Another user has this e-mail address, in whatever case. */
export class EmailTaken extends Schema.TaggedError<EmailTaken>()("EmailTaken", {}) {
  override readonly message = "Another user has this e-mail address"
}

/** Another user has this Google id. */
export class GoogleIdTaken extends Schema.TaggedError<GoogleIdTaken>()("GoogleIdTaken", {}) {
  override readonly message = "Another user has this Google id"
}

/** An e-mail account without a password hash, or a Google account without a Google id. */
export class CredentialsMissing
  extends Schema.TaggedError<CredentialsMissing>()("CredentialsMissing", {}) {
  override readonly message =
    "An account of provider email needs a passwordHash, one of provider google a googleId"
}

/** The user is no longer in any of the versions that the change was meant for. */
export class VersionMismatch extends Schema.TaggedError<VersionMismatch>()("VersionMismatch", {}) {
  override readonly message = "The user has changed; read it again and decide anew"
}
