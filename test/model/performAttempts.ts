/**
 * Calls about login attempts as their repository answers them, in the words of the model.
 */
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Email } from "../../src/domain/Email.ts"
import { LoginAttemptId } from "../../src/domain/LoginAttempt.ts"
import { UserId } from "../../src/domain/User.ts"
import { LoginAttemptRepository } from "../../src/repositories/loginAttempts/LoginAttemptRepository.ts"
import { toDateTime } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import { attemptJson, toAddress, toAttempt } from "./translations.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

export const createAttempt = Effect.fnUntraced(function* ({ key, attempt }: Of<"CreateAttempt">) {
  const attempts = yield* LoginAttemptRepository
  const options = key === null ? {} : { idempotencyKey: LoginAttemptId.make(key) }
  return attemptJson(yield* attempts.create(toAttempt(attempt), options))
})

export const countByUser = Effect.fnUntraced(function* (
  { userId, minutes }: Of<"CountByUser">,
) {
  const attempts = yield* LoginAttemptRepository
  return yield* attempts.countRecentFailures(UserId.make(userId), minutes ?? undefined)
})

export const countByOrigin = Effect.fnUntraced(function* (
  { origin: { email, ipAddress }, minutes }: Of<"CountByOrigin">,
) {
  const attempts = yield* LoginAttemptRepository
  const address = ipAddress === null ? undefined : toAddress(ipAddress)
  if (email !== null) {
    return yield* attempts.countRecentFailuresFrom(
      { email: Email.make(email), ipAddress: address },
      minutes ?? undefined,
    )
  }
  return address === undefined
    ? null
    : yield* attempts.countRecentFailuresFrom({ ipAddress: address }, minutes ?? undefined)
})

export const ageAttempts = Effect.fnUntraced(function* (
  { email, attemptedAt }: Of<"AgeAttempts">,
) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    UPDATE login_attempts
    SET attempted_at = ${DateTime.formatIso(toDateTime(attemptedAt))}::timestamptz
    WHERE lower(email) = lower(${email})`
  return null
})

export const deleteOld = Effect.fnUntraced(function* ({ olderThanDays }: Of<"DeleteOld">) {
  const attempts = yield* LoginAttemptRepository
  return yield* attempts.deleteOld(olderThanDays ?? undefined)
})
