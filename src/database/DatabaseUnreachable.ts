/**
 * Why a database cannot be used at all, found when the first connection is made: in a sentence an
 * operator can act on, with neither the password nor the driver's stack.
 */
import { Predicate, Schema } from "effect"
import { SqlError } from "effect/sql"
import type { ConnectionParameters } from "./ConnectionParameters.ts"
import { codeOf } from "./Constraints.ts"
import type { Disagreement } from "./SessionSettings.ts"

export class DatabaseUnreachable extends Schema.TaggedError<DatabaseUnreachable>()(
  "DatabaseUnreachable",
  {
    reason: Schema.Literals([
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

type Diagnosis = readonly [DatabaseUnreachable["reason"], string]

const serverSays: Readonly<Record<string, Diagnosis>> = {
  "08P01": [
    "other",
    "the server refused the session settings; behind PgBouncer, add pgbouncer=true to the URL",
  ],
  "28000": ["credentials", "the server does not let it in; check user, sslmode and pg_hba.conf"],
  "28P01": ["credentials", "the password is wrong; check user and password"],
  "3D000": ["database", "there is no such database; create it or correct the name"],
  "42501": ["rights", "it may not connect; GRANT CONNECT ON DATABASE to it"],
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

/** The driver has no code for it; the text is its own, not the server's. */
export const isTlsRefused = (error: SqlError.SqlError): boolean =>
  error.reason.message === "PgConnection: Server refused TLS"

const diagnose = (error: SqlError.SqlError): Diagnosis => {
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

/** The server as messages name it, for example `"latchkey" at db.example.com:5432`. */
const place = ({ database, host = "localhost", path, port = 5432 }: ConnectionParameters): string =>
  `"${database}" at ${path ?? (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)}`

const unreachable = (
  connection: ConnectionParameters,
  [reason, text]: Diagnosis,
  code: string | null = null,
) =>
  new DatabaseUnreachable({
    reason,
    message: `Cannot use the database ${place(connection)} as user "${connection.username}": ` +
      `${text}${code === null ? "" : ` (${code})`}.`,
  })

export const fromSqlError = (connection: ConnectionParameters, error: SqlError.SqlError) =>
  unreachable(connection, diagnose(error), codeOf(error))

export const tooOld = (connection: ConnectionParameters, version: string) =>
  unreachable(connection, [
    "version",
    `PostgreSQL ${version} is too old; upgrade it to 15 or later`,
  ])

export const standby = (connection: ConnectionParameters) =>
  unreachable(connection, ["standby", "the server is read-only; connect to the primary"])

/** The connection's own options want what must not be. */
export const contradicted = (
  connection: ConnectionParameters,
  { setting, value, wanted }: Disagreement,
) =>
  unreachable(connection, [
    "settings",
    `its options set ${setting} to "${value}", but the service needs "${wanted}"; remove that`,
  ])

/** The session is not what it must be, or the database. */
export const unfit = (connection: ConnectionParameters, problem: string) =>
  unreachable(connection, ["settings", problem])

export const pooled = (connection: ConnectionParameters) =>
  unreachable(connection, [
    "settings",
    "a pooler in transaction mode is between, which gives each statement another session; " +
    "add pgbouncer=true to the URL",
  ])
