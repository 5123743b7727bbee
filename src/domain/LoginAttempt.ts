/**
 * Attempts to sign in, successful and not.
 */
import { Effect, Schema } from "effect"
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

/** Why an attempt failed, in the caller's words. */
export const FailureReason = boundedText(256)

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
    insert: optionalAsNull(FailureReason),
    json: nullable(Schema.String),
  }),
  attemptedAt: Model.Field({ select: StoredTimestamp, json: Timestamp }),
  /** Whether it was begun and not completed, which counts as a failure. */
  pending: Model.Field({ select: Schema.Boolean, json: Schema.Boolean }),
}) {}

/** What failures are counted by: an address, the host, its network, or both address and host. */
export const LimitBy = Schema.Literals(["email", "ipAddress", "ipPrefix", "emailAndIpAddress"])
export type LimitBy = typeof LimitBy.Type

/** So many failures in the last minutes, and no further attempt begins. */
export const FailureLimit = Schema.Struct({
  by: LimitBy,
  failures: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })),
  minutes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 43_200 })),
})
export type FailureLimit = typeof FailureLimit.Type

/** What begins an attempt. */
export const AttemptToBegin = Schema.Struct({
  email: Email,
  ipAddress: IpAddress,
  userAgent: optionalAsNull(UserAgent),
  limits: Schema.Array(FailureLimit).check(Schema.isMaxLength(8)).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([])),
    Schema.withConstructorDefault(Effect.succeed([])),
  ),
})
export type AttemptToBegin = typeof AttemptToBegin.Type

/** How an attempt went. */
export interface Verdict {
  readonly success: boolean
  readonly failureReason: string | null
}

/** How many failures there were before an attempt, by one of its limits. */
export const FailureCountBy = Schema.Struct({
  by: LimitBy,
  minutes: Schema.Int,
  failures: Schema.Int,
  count: Schema.Int,
})
export type FailureCountBy = typeof FailureCountBy.Type

/** A limit that keeps an attempt from beginning; `retryAfter` is in seconds. */
export const ExceededLimit = Schema.Struct({
  by: LimitBy,
  failures: Schema.Int,
  count: Schema.Int,
  retryAfter: Schema.Int,
})
export type ExceededLimit = typeof ExceededLimit.Type

/** No attempt has this id. */
export class LoginAttemptNotFound
  extends Schema.TaggedError<LoginAttemptNotFound>()("LoginAttemptNotFound", {}) {
  override readonly message = "There is no such login attempt"
}

/** The attempt was completed before, with another verdict, or recorded whole. */
export class AttemptCompleted
  extends Schema.TaggedError<AttemptCompleted>()("AttemptCompleted", {}) {
  override readonly message = "The login attempt was completed before, in another way"
}

/** There were as many failures as a limit allows; nothing was recorded. */
export class TooManyFailures extends Schema.TaggedError<TooManyFailures>()("TooManyFailures", {
  limits: Schema.Array(ExceededLimit),
}) {
  override readonly message = "There were too many failed attempts"
}
