/**
 * Attempts to sign in, successful and not.
 */
import { Schema } from "effect"
import { Model } from "effect/schema"
import { nullable, optionalAsNull } from "../schema/nullable.ts"
import { boundedText } from "../schema/Text.ts"
import { Email, StoredEmail } from "./Email.ts"
import { IpAddress, StoredIpAddress } from "./IpAddress.ts"
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
    select: nullable(StoredUserId),
    insert: optionalAsNull(UserId),
    json: nullable(StoredUserId),
  }),
  email: Model.Field({ select: StoredEmail, insert: Email, json: StoredEmail }),
  ipAddress: Model.Field({ select: StoredIpAddress, insert: IpAddress, json: StoredIpAddress }),
  userAgent: Model.Field({
    select: nullable(Schema.String),
    insert: optionalAsNull(UserAgent),
    json: nullable(Schema.String),
  }),
  success: Model.Field({
    select: Schema.Boolean,
    insert: Schema.Boolean,
    json: Schema.Boolean,
  }),
  failureReason: Model.Field({
    select: nullable(Schema.String),
    insert: optionalAsNull(boundedText(256)),
    json: nullable(Schema.String),
  }),
  attemptedAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
}) {}
