/**
 * What has become of a connection's parameters, for pools that are open.
 */
import { Redacted } from "effect"
import {
  type ConnectionParameters,
  type ServerParameters,
  serversOf,
} from "../ConnectionParameters.ts"

/**
 * `credentials`: only how to sign in and how to encrypt, which new connections can begin with.
 * `more`: where to connect to, or how sessions are.
 */
export type Change = "none" | "credentials" | "more"

// A check of the host's name is left out by a function.
const textOf = (value: unknown) =>
  JSON.stringify(value, (_, part) => typeof part === "function" ? "function" : part)

const encryptionOf = ({ ssl, sslFallback }: ServerParameters) => [ssl, sslFallback]

const passwordOf = ({ password }: ConnectionParameters) =>
  Redacted.isRedacted(password) ? Redacted.value(password) : undefined

const credentialsOf = (connection: ConnectionParameters) =>
  textOf([
    connection.username,
    passwordOf(connection),
    serversOf(connection).map(encryptionOf),
  ])

const restOf = (connection: ConnectionParameters) => {
  const { username: _u, password: _p, ssl: _s, sslFallback: _f, others: _o, ...rest } = connection
  const places = serversOf(connection).map(({ host, port, path }) => [host, port, path])
  return textOf([rest, places])
}

export const changeOf = (before: ConnectionParameters, after: ConnectionParameters): Change =>
  restOf(before) !== restOf(after)
    ? "more"
    : credentialsOf(before) === credentialsOf(after)
    ? "none"
    : "credentials"
