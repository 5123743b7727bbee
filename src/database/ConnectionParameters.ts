/**
 * Where a PostgreSQL server is and how to sign in to it.
 *
 * The part of `@effect/sql-pg`'s client settings that names a server, so that the embedded server,
 * `DATABASE_URL` and the tests all hand the same value to `Database.layer`.
 */
import type { PgClient } from "@effect/sql-pg"

/** `host` is a name, an address or, when it begins with `/`, the directory of a Unix socket. */
export type ServerParameters =
  & Pick<PgClient.PgClientConfig, "host" | "port" | "path" | "ssl">
  & {
    /** What to try when the first connection fails with `ssl`: libpq's `prefer` and `allow`. */
    readonly sslFallback?: PgClient.PgClientConfig["ssl"]
  }

/** What libpq's `target_session_attrs` may want of a server. */
export const targets = [
  "any",
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby",
] as const
export type Target = (typeof targets)[number]

export type ConnectionParameters =
  & ServerParameters
  & Pick<
    PgClient.PgClientConfig,
    | "url"
    | "database"
    | "username"
    | "password"
    | "startupParameters"
    | "startupOptions"
    | "applicationName"
    | "connectTimeout"
    | "keepAlive"
  >
  & {
    /** Servers to try, in this order, where the one above is not to be had. */
    readonly others?: ReadonlyArray<ServerParameters>
    /** Which of the servers is taken; `any` by default, whatever its session can do. */
    readonly target?: Target
    /** Each connection tries the servers in another order: libpq's `load_balance_hosts`. */
    readonly inRandomOrder?: boolean
    /** A pooler in transaction mode is between: no prepared statements, no session settings. */
    readonly pooler?: boolean
  }

/** All servers of a connection. */
export const serversOf = (
  connection: ConnectionParameters,
): readonly [ServerParameters, ...ReadonlyArray<ServerParameters>] => [
  connection,
  ...connection.others ?? [],
]

/** A server as messages name it, for example `db.example.com:5432`. */
export const placeOf = ({ host = "localhost", path, port = 5432 }: ServerParameters): string =>
  path ?? (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)
