/**
 * Attempts to sign in, successful and not.
 */
import { Schema } from "effect"
import { Model } from "effect/schema"
import { Email, StoredEmail } from "./Email.ts"
import { IpAddress, StoredIpAddress } from "./IpAddress.ts"
import { nullByDefault } from "./nullByDefault.ts"
import { orNull } from "./orNull.ts"
import { boundedText } from "./Text.ts"
import { StoredTimestamp, Timestamp } from "./Timestamp.ts"
import { StoredUserId, UserId } from "./User.ts"
import { UserAgent } from "./UserAgent.ts"
import { StoredUuid, Uuid } from "./Uuid.ts"

export const LoginAttemptId = Uuid.pipe(Schema.brand("LoginAttemptId"))
export type LoginAttemptId = typeof LoginAttemptId.Type

const StoredLoginAttemptId = StoredUuid.pipe(Schema.brand("LoginAttemptId"))

/** One attempt. It is kept when its user is deleted: then `userId` is null. */
export class LoginAttempt extends Model.Class<LoginAttempt>("LoginAttempt")({
  id: Model.GeneratedByDb(StoredLoginAttemptId),
  userId: Model.Field({
    select: orNull(StoredUserId),
    insert: nullByDefault(UserId),
    json: orNull(StoredUserId),
  }),
  email: Model.Field({ select: StoredEmail, insert: Email, json: StoredEmail }),
  ipAddress: Model.Field({ select: StoredIpAddress, insert: IpAddress, json: StoredIpAddress }),
  userAgent: Model.Field({
    select: orNull(Schema.String),
    insert: nullByDefault(UserAgent),
    json: orNull(Schema.String),
  }),
  success: Model.Field({
    select: Schema.Boolean,
    insert: Schema.Boolean,
    json: Schema.Boolean,
  }),
  failureReason: Model.Field({
    select: orNull(Schema.String),
    insert: nullByDefault(boundedText(256)),
    json: orNull(Schema.String),
  }),
  attemptedAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
}) {}
