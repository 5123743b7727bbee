/**
 * Why a database cannot be used at all, found when the first connection is made: in a sentence an
 * operator can act on, with neither the password nor the driver's stack.
 */
import { Predicate, Schema } from "effect"
import type { SqlError } from "effect/sql"
import { type ConnectionParameters, placeOf, serversOf } from "./ConnectionParameters.ts"
import { codeOf } from "./Constraints.ts"
import { NoServer, ServerUnfit } from "./servers/refusals.ts"
import { isTlsRefused } from "./servers/Server.ts"
import type { Disagreement } from "./SessionSettings.ts"

export class DatabaseUnreachable extends Schema.TaggedError<DatabaseUnreachable>()(
  "DatabaseUnreachable",
  {
    reason: Schema.Literals([
      "busy",
      "credentials",
      "database",
      "network",
      "rights",
      "settings",
      "standby",
      "tls",
      "version",
      "other",
    ]),
    message: Schema.String,
  },
) {}

type Reason = DatabaseUnreachable["reason"]
type Diagnosis = readonly [Reason, string]

/** What may be over by itself, soon. */
const passing: ReadonlyArray<Reason> = ["standby", "busy", "network"]

/** Whether it is worth while to try again. */
export const isPassing = ({ reason }: DatabaseUnreachable): boolean => passing.includes(reason)

const serverSays: Readonly<Record<string, Diagnosis>> = {
  "08P01": [
    "other",
    "the server refused the session settings; behind PgBouncer, add pgbouncer=true to the URL",
  ],
  "28000": ["credentials", "the server does not let it in; check user, sslmode and pg_hba.conf"],
  "28P01": ["credentials", "the password is wrong; check user and password"],
  "3D000": ["database", "there is no such database; create it or correct the name"],
  "42501": ["rights", "it may not connect; GRANT CONNECT ON DATABASE to it"],
  "53300": ["busy", "the server has no connection left for it; check the limits of both"],
  "57P01": ["busy", "the server is shutting down"],
  "57P02": ["busy", "the server has crashed and starts again"],
  "57P03": ["busy", "the server is starting, or shutting down"],
}

const networkSays: Readonly<Record<string, Diagnosis>> = {
  EACCES: ["network", "there is no right to open its socket"],
  EAI_AGAIN: ["network", "the host's name cannot be resolved at the moment"],
  ECONNREFUSED: ["network", "nothing listens there; check host and port"],
  ECONNRESET: ["network", "the connection was cut; check host and port"],
  EHOSTUNREACH: ["network", "there is no route to the host"],
  ENETUNREACH: ["network", "there is no route to the network"],
  ENOENT: ["network", "there is no such socket; check host and port"],
  ENOTFOUND: ["network", "there is no host of that name"],
  ETIMEDOUT: ["network", "the server did not answer in time; check host and port"],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "tls",
    "its certificate is for another host name; connect by a name that is in the certificate, or " +
    "have the server use one for this name",
  ],
}

// Node's names for a chain that does not verify, and OpenSSL's for a handshake that fails.
const certificate = /CERT|SIGNATURE|UNABLE_TO_|SSL|TLS/

/** What an error of a connection to one server means. */
export const diagnose = (error: SqlError.SqlError): Diagnosis => {
  if (error.reason.cause instanceof ServerUnfit) {
    return [error.reason.cause.reason, error.reason.cause.problem]
  }
  const code = codeOf(error)
  const known = code === null ? undefined : serverSays[code] ?? networkSays[code]
  if (known !== undefined) return known
  if (isTlsRefused(error)) {
    return [
      "tls",
      "the server offers no TLS; turn it on there, or set sslmode=disable if that is safe",
    ]
  }
  const { _tag, cause } = error.reason
  const text = Predicate.isError(cause) ? cause.message : "the reason is unknown"
  if (code !== null && certificate.test(code)) {
    return ["tls", `its certificate is not trusted, ${text}; check DATABASE_CA_FILE`]
  }
  switch (_tag) {
    case "AuthenticationError":
      return ["credentials", `signing in failed, ${text}; check user and password`]
    case "ConnectionError":
      return ["network", `no connection, ${text}; check host and port`]
    default:
      return ["other", text]
  }
}

const unreachable = (
  connection: ConnectionParameters,
  [reason, text]: Diagnosis,
  place: string,
) =>
  new DatabaseUnreachable({
    reason,
    message: `Cannot use the database "${connection.database}"${place} as user ` +
      `"${connection.username}": ${text}.`,
  })

/** The text with the code, where there is one. */
const withCode = (error: SqlError.SqlError): Diagnosis => {
  const [reason, text] = diagnose(error)
  const code = codeOf(error)
  return [reason, code === null ? text : `${text} (${code})`]
}

/** Of several servers, the reason that they share, or that which may be over soonest. */
const commonReason = (diagnoses: ReadonlyArray<Diagnosis>): Reason => {
  const reasons = diagnoses.map(([reason]) => reason)
  const last = reasons.at(-1) ?? "other"
  return last === "credentials" || last === "database" || last === "rights"
    ? last
    : passing.find((reason) => reasons.includes(reason)) ?? last
}

/** Why no connection was made. */
export const fromSqlError = (connection: ConnectionParameters, error: SqlError.SqlError) => {
  const { cause } = error.reason
  if (!(cause instanceof NoServer)) {
    return unreachable(connection, withCode(error), ` at ${placeOf(connection)}`)
  }
  const diagnoses = cause.attempts.map((attempt) => withCode(attempt.error))
  // In the order in which they are named, however they were tried, so that one state has one sentence.
  const places = serversOf(connection).map(placeOf)
  const texts = cause.attempts
    .map(({ place }, index) => ({ place, text: `${place}: ${diagnoses[index]?.[1]}` }))
    .toSorted((one, other) => places.indexOf(one.place) - places.indexOf(other.place))
    .map(({ text }) => text)
  return unreachable(connection, [commonReason(diagnoses), texts.join("; ")], "")
}

/** The connection's own options want what must not be. */
export const contradicted = (
  connection: ConnectionParameters,
  { setting, value, wanted }: Disagreement,
) =>
  unreachable(connection, [
    "settings",
    `its options set ${setting} to "${value}", but the service needs "${wanted}"; remove that`,
  ], ` at ${placeOf(connection)}`)
