/**
 * What the repository of login attempts promises.
 */
import { isOlderThan, isWithin } from "./Instant.ts"
import type { Operation } from "./Operation.ts"
import {
  type Answer,
  type AttemptRow,
  failure,
  generated,
  retry,
  type Step,
  type Tables,
} from "./Tables.ts"
import { sameEmail } from "./usersModel.ts"

type Of<Tag extends Operation["_tag"]> = Extract<Operation, { readonly _tag: Tag }>

const attemptJson = ({ fingerprint: _, ...attempt }: AttemptRow) => ({
  ...attempt,
  pending: false,
})

export const createAttempt = (
  tables: Tables,
  { key, attempt }: Of<"CreateAttempt">,
  answer: Answer,
): Step => {
  const fingerprint = key === null ? null : JSON.stringify(attempt)
  const again = retry(tables, tables.attempts, { key, fingerprint, toJson: attemptJson })
  if (again !== undefined) return again
  if (attempt.userId !== null && !tables.users.some(({ id }) => id === attempt.userId)) {
    return failure(tables, "UserNotFound")
  }
  const id = key ?? generated(tables, answer, "id")
  const row: AttemptRow = { ...attempt, id, attemptedAt: "now", fingerprint }
  return {
    tables: {
      ...tables,
      attempts: [...tables.attempts, row],
      generated: key === null ? [...tables.generated, id] : tables.generated,
    },
    answer: attemptJson(row),
  }
}

const failures = (
  { attempts }: Tables,
  minutes: number | null,
  isMeant: (attempt: AttemptRow) => boolean,
) =>
  attempts.filter((attempt) =>
    !attempt.success && isWithin(attempt.attemptedAt, minutes ?? 15) && isMeant(attempt)
  ).length

export const countByUser = (tables: Tables, { userId, minutes }: Of<"CountByUser">): Step =>
  tables.users.some(({ id }) => id === userId)
    ? { tables, answer: failures(tables, minutes, (attempt) => attempt.userId === userId) }
    : failure(tables, "UserNotFound")

export const countByOrigin = (
  tables: Tables,
  { origin: { email, ipAddress }, minutes }: Of<"CountByOrigin">,
): Step => ({
  tables,
  answer: failures(
    tables,
    minutes,
    (attempt) =>
      (email === null || sameEmail(attempt.email, email)) &&
      (ipAddress === null || attempt.ipAddress === ipAddress),
  ),
})

export const ageAttempts = (
  tables: Tables,
  { email, attemptedAt }: Of<"AgeAttempts">,
): Step => ({
  tables: {
    ...tables,
    attempts: tables.attempts.map((attempt) =>
      sameEmail(attempt.email, email) ? { ...attempt, attemptedAt } : attempt
    ),
  },
  answer: null,
})

export const deleteOld = (tables: Tables, { olderThanDays }: Of<"DeleteOld">): Step => {
  const kept = tables.attempts.filter(({ attemptedAt }) =>
    !isOlderThan(attemptedAt, olderThanDays ?? 90)
  )
  return { tables: { ...tables, attempts: kept }, answer: tables.attempts.length - kept.length }
}
