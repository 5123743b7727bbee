/**
 * Where a PostgreSQL server is and how to sign in to it.
 *
 * The part of `@effect/sql-pg`'s client settings that names a server, so that the embedded server,
 * `DATABASE_URL` and the tests all hand the same value to `Database.layer`.
 */
import type { PgClient } from "@effect/sql-pg"

/** `host` is a name, an address or, when it begins with `/`, the directory of a Unix socket. */
export type ConnectionParameters =
  & Pick<
    PgClient.PgClientConfig,
    | "url"
    | "host"
    | "port"
    | "path"
    | "database"
    | "username"
    | "password"
    | "ssl"
    | "startupParameters"
    | "startupOptions"
    | "applicationName"
    | "connectTimeout"
    | "keepAlive"
  >
  & {
    /** What to try when the first connection fails with `ssl`: libpq's `prefer` and `allow`. */
    readonly sslFallback?: PgClient.PgClientConfig["ssl"]
    /** A pooler in transaction mode is between: no prepared statements, no session settings. */
    readonly pooler?: boolean
    /** Refuse a server that is a standby or read-only: libpq's `target_session_attrs`. */
    readonly writable?: boolean
  }
