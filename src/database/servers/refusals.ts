/**
 * Why no connection was made, beyond what a server or the network says: the server that answers is not
 * one to use, or none of several is.
 */
import { Data, Predicate } from "effect"
import { SqlError } from "effect/sql"

/** A connection was made, but its server or its session is not what it must be. */
export class ServerUnfit extends Data.TaggedError("ServerUnfit")<{
  /** `standby`: it cannot do what is asked of it for now, which may be over soon. */
  readonly reason: "settings" | "standby" | "version"
  readonly database: string
  /** What is wrong and how to mend it, in a sentence without its subject. */
  readonly problem: string
}> {
  override get message() {
    return `The database "${this.database.replaceAll('"', '""')}" was left: ${this.problem}.`
  }
}

/** A server that was tried. */
export interface Attempt {
  /** As messages name it. */
  readonly place: string
  readonly error: SqlError.SqlError
}

/** None of several servers was taken. */
export class NoServer extends Data.TaggedError("NoServer")<{
  readonly attempts: ReadonlyArray<Attempt>
  /** SQLSTATE or the system's code of the last attempt that has one. */
  readonly code: string | undefined
}> {
  override get message() {
    return `None of ${this.attempts.map(({ place }) => place).join(", ")} can be used`
  }
}

/** As the driver fails, so that it is an outage for the statement that wanted the connection. */
const connectionError = (cause: ServerUnfit | NoServer) =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ cause, message: cause.message, operation: "connect" }),
  })

export const unfit = (
  reason: ServerUnfit["reason"],
  database: string,
  problem: string,
): SqlError.SqlError => connectionError(new ServerUnfit({ reason, database, problem }))

const codeIn = ({ error: { reason } }: Attempt) =>
  Predicate.hasProperty(reason.cause, "code") && Predicate.isString(reason.cause.code)
    ? reason.cause.code
    : undefined

/** What all attempts come to; the error itself where there was one alone. */
export const noServer = (attempts: ReadonlyArray<Attempt>): SqlError.SqlError => {
  const [first, second] = attempts
  return first !== undefined && second === undefined ? first.error : connectionError(
    new NoServer({ attempts, code: attempts.map(codeIn).findLast(Predicate.isNotUndefined) }),
  )
}

/** What was tried for a connection, where an error says so: several servers, or the one. */
export const errorsIn = (error: SqlError.SqlError): ReadonlyArray<SqlError.SqlError> =>
  error.reason.cause instanceof NoServer
    ? error.reason.cause.attempts.map((attempt) => attempt.error)
    : [error]

/** What was wrong with servers that answered. */
export const unfitnessesOf = (error: SqlError.SqlError): ReadonlyArray<ServerUnfit> =>
  errorsIn(error).flatMap(({ reason }) => reason.cause instanceof ServerUnfit ? [reason.cause] : [])
