/**
 * What PostgreSQL's errors mean, by SQLSTATE and constraint name.
 *
 * Never by the message text, which is translated, nor by the detail, which holds the failing row.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import { Data, Duration, Effect, Metric, Predicate, Schema, SchemaIssue } from "effect"
import { SqlError } from "effect/sql"
import { DatabaseUnavailable } from "../domain/DatabaseUnavailable.ts"
import { TokenHashTaken } from "../domain/RefreshToken.ts"
import { CredentialsMissing, EmailTaken, GoogleIdTaken, UserNotFound } from "../domain/User.ts"

/** What each constraint that a caller can run into means, by the table that is written. */
export const userConstraints = {
  users_email_key: () => new EmailTaken(),
  users_google_id_key: () => new GoogleIdTaken(),
  users_auth_provider_check: () => new CredentialsMissing(),
}
export const refreshTokenConstraints = {
  refresh_tokens_token_hash_key: () => new TokenHashTaken(),
  refresh_tokens_user_id_fkey: () => new UserNotFound(),
}
export const loginAttemptConstraints = {
  login_attempts_user_id_fkey: () => new UserNotFound(),
}

/**
 * A statement failed, or gave a row, in a way that nobody foresaw: a defect, told without any value
 * of the row it was about.
 */
export class UnexpectedDatabaseError extends Data.Error<{
  readonly code: string | null
  readonly constraint: string | null
  readonly message: string
}> {}

/**
 * SQLSTATEs and classes that say "not now" instead of "not like this": connection failures, too
 * many connections or too little memory, operator intervention (shutdown, a cancelled statement), a
 * failing disk, a database that is gone or lets nobody in, a standby that is read-only, rights that
 * an operator took away, sessions that a pooler mixes up, serialization failures, deadlocks, lock and
 * transaction timeouts, a plan that a migration made stale.
 */
const unavailable = [
  "08",
  "53",
  "57",
  "58",
  "0A000",
  "25006",
  "25P02",
  "25P03",
  "25P04",
  "26000",
  "3D000",
  "40001",
  "40P01",
  "42501",
  "42P05",
  "55000",
  "55P03",
]

const property = (value: unknown, name: string): string | null =>
  Predicate.hasProperty(value, name) && Predicate.isString(value[name]) ? value[name] : null

/** SQLSTATE of an error, null when the server did not answer. */
export const codeOf = (error: SqlError.SqlError): string | null =>
  property(error.reason.cause, "code")

/** Name of the constraint that an error is about, if it is about one. */
export const constraintOf = (error: SqlError.SqlError): string | null =>
  property(error.reason.cause, "constraint")

/**
 * Serialization failures and deadlocks, given up in favour of another transaction; and plans that a
 * migration beside a transaction has made stale, which the transaction gets anew when it is repeated.
 */
const conflicts = ["40001", "40P01", "0A000"]

/** Lost against another transaction: those, and a lock not had in time. */
const lost = [...conflicts, "55P03"]

const isConflict = (error: unknown): boolean =>
  SqlError.isSqlError(error) && conflicts.includes(codeOf(error) ?? "")

const retries = Metric.counter("database_retries_total", {
  description: "Repetitions of statements and transactions that had failed",
  incremental: true,
})

const retriesFor = {
  "connection-lost": Metric.withAttributes(retries, { reason: "connection-lost" }),
  "deadlock": Metric.withAttributes(retries, { reason: "deadlock" }),
  "lock-timeout": Metric.withAttributes(retries, { reason: "lock-timeout" }),
  "serialization": Metric.withAttributes(retries, { reason: "serialization" }),
  "stale-plan": Metric.withAttributes(retries, { reason: "stale-plan" }),
}

/** Counts that something is done once more. */
export const countRetry = (reason: keyof typeof retriesFor): Effect.Effect<void> =>
  Metric.update(retriesFor[reason], 1)

/** Has every reason begin at 0, so that a rate can be had from the first on. */
export const countNoRetry: Effect.Effect<void> = Effect.forEach(
  Object.values(retriesFor),
  (counter) => Metric.update(counter, 0),
  { discard: true },
)

const retryReasons: Readonly<Record<string, keyof typeof retriesFor>> = {
  "40001": "serialization",
  "40P01": "deadlock",
  "0A000": "stale-plan",
}

const retryReasonOf = (error: unknown) =>
  SqlError.isSqlError(error) && retryReasons[codeOf(error) ?? ""] || "connection-lost"

/** Milliseconds before a repetition, of which there were so many before. */
const pauseBefore = (before: number) =>
  before === 0 ? 5 + 10 * Math.random() : 10 * 2 ** before * (0.8 + 0.4 * Math.random())

/**
 * Runs an effect again while it fails so, after a short and jittered wait each time. Built only when it
 * has failed: nearly all statements succeed, and a schedule for each of them would cost more than that.
 */
const again = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  { when, times }: { readonly when: (error: unknown) => boolean; readonly times: number },
  before = 0,
): Effect.Effect<A, E, R> =>
  before === times
    ? effect
    : Effect.catchIf(effect, when, (error) =>
      countRetry(retryReasonOf(error)).pipe(
        Effect.delay(Duration.millis(pauseBefore(before))),
        Effect.andThen(again(effect, { when, times }, before + 1)),
      ))

/**
 * Runs a whole transaction, or a statement that is its own, up to four times while it is given up in
 * favour of others. It was rolled back each time, so that nothing is done twice.
 */
export const retryConflicts = <A, E, R>(transaction: Effect.Effect<A, E, R>) =>
  again(transaction, { when: isConflict, times: 3 })

/**
 * Whether a connection that had been made was lost, as opposed to one that cannot be made; the
 * server tells of its own end by operator intervention.
 */
const isConnectionLost = (error: unknown): boolean =>
  SqlError.isSqlError(error) &&
  (error.reason._tag === "ConnectionError" && error.reason.operation !== "connect" ||
    ["57P01", "57P02"].includes(codeOf(error) ?? ""))

/** Runs a statement that only reads once more, on another connection, when it lost its own. */
export const retryLostConnection = <A, E, R>(read: Effect.Effect<A, E, R>) =>
  again(read, { when: isConnectionLost, times: 1 })

/**
 * Whether a statement about many rows failed for what one of them is or meets: a value, a constraint,
 * a trigger, a conflict, a lock. The statement was undone for certain, and others of its rows may do.
 */
export const isUndoneForARow = (error: unknown): error is SqlError.SqlError => {
  if (!SqlError.isSqlError(error)) return false
  const code = codeOf(error)
  return code !== null && (!isUnavailable(error, code) || lost.includes(code))
}

/** Whether the server is not the one that writes: after a failover its name may lead to another. */
export const isWrongServer = (error: SqlError.SqlError): boolean => codeOf(error) === "25006"

/**
 * Whether the next statement on this connection could not do better: the server ends it, or a pooler
 * gave it a session of somebody else's. `isAlone` says that no transaction of ours is open on it, in
 * which a failed statement would be the reason for 25P02.
 */
export const isWrongConnection = (error: SqlError.SqlError, isAlone: boolean): boolean => {
  const code = codeOf(error) ?? ""
  return code.startsWith("08") || code.startsWith("57P") ||
    ["25P03", "25P04", "26000", "42P05"].includes(code) || isAlone && code === "25P02"
}

/** Whether the role lacks a right, or row security keeps rows from it. */
export const isRightMissing = (error: SqlError.SqlError): boolean => codeOf(error) === "42501"

/** PostgreSQL's own functions that deny something, in words that name an object and no value. */
const denying = /^(aclcheck_error|check_enable_rls)/

/**
 * What was denied, in PostgreSQL's words, which may be translated. Only in its own: a trigger can
 * raise the same SQLSTATE, in words that hold anything.
 */
export const deniedWords = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  return denying.test(property(cause, "routine") ?? "")
    ? property(cause, "message") ?? "an object"
    : "an object that PostgreSQL does not name"
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Where values do not fit; never which values, as the message of a schema error says. */
const unexpectedShape = ({ issue }: Schema.SchemaError) => {
  const paths = formatIssue(issue).issues.map(({ path }) => path?.map(String).join(".") || "it")
  const message = `Unexpected shape of a row or a request: see ${paths.join(", ")}`
  return new UnexpectedDatabaseError({ code: null, constraint: null, message })
}

/**
 * What a statement failed with, for spans: the SQLSTATE and the constraint, and of a connection that
 * failed the system's error code.
 */
export class StatementFailed extends Data.Error<{ readonly message: string }> {
  override readonly name = "SqlError"
}

/**
 * What traces and logs may hold of an error: nothing that the server said in words. A message, a
 * detail, a hint or a context can hold the row, if only because a trigger of an operator raises it.
 */
export const withoutWords = (error: unknown): unknown => {
  if (Schema.isSchemaError(error)) return unexpectedShape(error)
  if (!SqlError.isSqlError(error)) return error
  const constraint = constraintOf(error)
  const words = [error.reason._tag, codeOf(error), constraint === null ? null : `on ${constraint}`]
  return new StatementFailed({ message: words.filter(Predicate.isNotNull).join(" ") })
}

const isUnavailable = (error: SqlError.SqlError, code: string | null): boolean =>
  error.reason._tag === "ConnectionError" ||
  error.reason._tag === "AuthenticationError" ||
  (code !== null && unavailable.some((prefix) => code.startsWith(prefix)))

/**
 * Turns what a statement can fail with into its meaning: a violation of one of the given constraints
 * into that constraint's error, an outage into `DatabaseUnavailable`, anything else into a defect.
 * A row that does not fit its schema is a defect as well.
 *
 * `withTransaction` raises a lost connection as a defect, so defects are looked at too.
 */
export const interpretErrors = <
  Constraints extends Readonly<Record<string, () => unknown>> = Record<never, never>,
>(
  constraints?: Constraints,
) => {
  type Violation = ReturnType<Constraints[keyof Constraints]>
  const interpret = (
    error: SqlError.SqlError,
  ): Effect.Effect<never, Violation | DatabaseUnavailable> => {
    const code = codeOf(error)
    const constraint = constraintOf(error)
    const violation = constraint === null ? undefined : constraints?.[constraint]
    if (violation !== undefined) return Effect.fail(violation() as Violation)
    if (isUnavailable(error, code)) return Effect.fail(new DatabaseUnavailable({ code }))
    const message = `Unexpected database error ${code ?? error.reason._tag}` +
      (constraint === null ? "" : ` on ${constraint}`)
    return Effect.die(new UnexpectedDatabaseError({ code, constraint, message }))
  }
  // Built only when there is something to interpret, for the same reason as in `again`.
  return <A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError | Schema.SchemaError, R>) =>
    Effect.catchCause(effect, (cause) =>
      Effect.failCause(cause).pipe(
        Effect.catchDefect((defect) =>
          SqlError.isSqlError(defect) ? Effect.fail(defect) : Effect.die(defect)
        ),
        Effect.catchIf(SqlError.isSqlError, interpret),
        Effect.catchIf(Schema.isSchemaError, (error) => Effect.die(unexpectedShape(error))),
      ))
}
